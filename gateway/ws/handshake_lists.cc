#include "ws/handshake_lists.h"

#include <algorithm>
#include <array>

#include "http/head.h"

namespace sluice::ws {
namespace {

constexpr std::array<bool, 256> kTokenOctets = [] {
  std::array<bool, 256> octets{};
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) octets[static_cast<std::uint8_t>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) octets[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) octets[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) octets[static_cast<std::size_t>(c)] = true;
  return octets;
}();

bool is_token_octet(char c) { return kTokenOctets[static_cast<std::uint8_t>(c)]; }

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

struct Parameter {
  std::string_view name;
  std::string_view value;  // as written, without its quotes
  bool has_value = false;
  bool quoted = false;
};

// Reads an extension-list from left to right; every octet once.
class ExtensionReader {
 public:
  explicit ExtensionReader(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  std::size_t position() const { return at_; }

  void skip_space() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // Empty when there is none.
  std::string_view token() {
    const std::size_t from = at_;
    while (!at_end() && is_token_octet(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }

  // extension-param = token [ "=" (token | quoted-string) ]
  std::optional<Parameter> parameter() {
    Parameter parameter;
    parameter.name = token();
    if (parameter.name.empty()) return std::nullopt;
    if (!take('=')) return parameter;
    parameter.has_value = true;
    if (take('"')) {
      parameter.quoted = true;
      return quoted(parameter) ? std::optional(parameter) : std::nullopt;
    }
    parameter.value = token();
    return parameter.value.empty() ? std::nullopt : std::optional(parameter);
  }

 private:
  // RFC 6455 §9.1: what a quoted-string says must, after unescaping, be a token.
  bool quoted(Parameter& parameter) {
    const std::size_t from = at_;
    for (; !at_end() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
      if (at_end() || !is_token_octet(text_[at_])) return false;
    }
    parameter.value = text_.substr(from, at_ - from);
    return !parameter.value.empty() && take('"');
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// 8 to 15, by one or two digits without a leading zero (RFC 7692 §7.1.2).
std::optional<std::uint8_t> window_bits(const Parameter& parameter) {
  const std::string_view text = parameter.value;
  if (parameter.quoted) return std::nullopt;
  if (text.size() == 1 && (text[0] == '8' || text[0] == '9')) return static_cast<std::uint8_t>(text[0] - '0');
  if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5') {
    return static_cast<std::uint8_t>(10 + (text[1] - '0'));
  }
  return std::nullopt;
}

bool set_flag(const Parameter& parameter, bool& flag) {
  if (flag || parameter.has_value) return false;
  flag = true;
  return true;
}

bool set_bits(const Parameter& parameter, bool valueless_allowed, bool& named, std::uint8_t& bits) {
  if (named) return false;
  named = true;
  if (!parameter.has_value) return valueless_allowed;
  const std::optional<std::uint8_t> value = window_bits(parameter);
  if (!value) return false;
  bits = *value;
  return true;
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_octet);
}

bool split_subprotocols(std::string_view value, std::vector<std::string_view>& out) {
  for (std::size_t from = 0;;) {
    const std::size_t comma = std::min(value.find(',', from), value.size());
    const std::string_view element = trimmed(value.substr(from, comma - from));
    if (!is_token(element) || out.size() == kMaxSubprotocols) return false;
    if (std::find(out.begin(), out.end(), element) != out.end()) return false;
    out.push_back(element);
    if (comma == value.size()) return true;
    from = comma + 1;
  }
}

bool split_extensions(std::string_view value, std::vector<std::string_view>& out) {
  ExtensionReader reader(value);
  while (true) {
    reader.skip_space();
    const std::size_t from = reader.position();
    if (reader.token().empty() || out.size() == kMaxExtensions) return false;
    std::size_t end = reader.position();
    reader.skip_space();
    while (reader.take(';')) {
      reader.skip_space();
      if (!reader.parameter()) return false;
      end = reader.position();
      reader.skip_space();
    }
    out.push_back(value.substr(from, end - from));
    if (reader.at_end()) return true;
    if (!reader.take(',')) return false;
  }
}

std::string_view extension_name(std::string_view element) {
  return trimmed(element.substr(0, element.find(';')));
}

std::optional<DeflateParameters> parse_deflate(std::string_view element, DeflateRole role) {
  DeflateParameters parameters;
  ExtensionReader reader(element);
  reader.skip_space();
  if (!http::same_name(reader.token(), "permessage-deflate")) return std::nullopt;
  for (reader.skip_space(); reader.take(';'); reader.skip_space()) {
    reader.skip_space();
    const std::optional<Parameter> parameter = reader.parameter();
    if (!parameter) return std::nullopt;
    bool good = false;
    if (parameter->name == "server_no_context_takeover") {
      good = set_flag(*parameter, parameters.server_no_context_takeover);
    } else if (parameter->name == "client_no_context_takeover") {
      good = set_flag(*parameter, parameters.client_no_context_takeover);
    } else if (parameter->name == "server_max_window_bits") {
      good = set_bits(*parameter, false, parameters.server_bits_named, parameters.server_bits);
    } else if (parameter->name == "client_max_window_bits") {
      // Without a value it only says that the client can obey one, so only an offer may hold it (§7.1.2.2).
      good = set_bits(*parameter, role == DeflateRole::offer, parameters.client_bits_named,
                      parameters.client_bits);
    }
    if (!good) return std::nullopt;
  }
  return reader.at_end() ? std::optional(parameters) : std::nullopt;
}

bool answers(const DeflateParameters& answer, const DeflateParameters& offer) {
  // §7.1.1.1, §7.1.2.1: what the client asks of the server is granted in the answer, or the offer is
  // declined.
  if (offer.server_no_context_takeover && !answer.server_no_context_takeover) return false;
  if (offer.server_bits_named && (!answer.server_bits_named || answer.server_bits > offer.server_bits))
    return false;
  // §7.1.2.2: the server bounds the client's window only when the client said that it can obey.
  if (answer.client_bits_named && (!offer.client_bits_named || answer.client_bits > offer.client_bits))
    return false;
  return true;
}

}  // namespace sluice::ws
