// Exposition: a strict reader of Prometheus' text format 0.0.4 for tests. What the format does not allow is a
// fault.
#pragma once

#include <cctype>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace sluice::server {

struct Exposition {
  using Labels = std::map<std::string, std::string>;
  struct Sample {
    std::string name;
    Labels labels;
    double value = 0;
  };
  std::map<std::string, std::string> types;
  std::map<std::string, std::string> helps;
  std::vector<Sample> samples;
  std::vector<std::string> faults;

  // Sum of the samples of that name that carry all of these labels.
  double sum(const std::string& name, const Labels& wanted = {}) const {
    double total = 0;
    for (const Sample& sample : samples) {
      if (sample.name == name && carries(sample, wanted)) total += sample.value;
    }
    return total;
  }
  std::size_t count(const std::string& name, const Labels& wanted = {}) const {
    std::size_t n = 0;
    for (const Sample& sample : samples) n += sample.name == name && carries(sample, wanted);
    return n;
  }

  static bool carries(const Sample& sample, const Labels& wanted) {
    for (const auto& [name, value] : wanted) {
      const auto found = sample.labels.find(name);
      if (found == sample.labels.end() || found->second != value) return false;
    }
    return true;
  }
};

class ExpositionReader {
 public:
  static Exposition read(const std::string& text) {
    ExpositionReader reader;
    if (text.empty() || text.back() != '\n') reader.fault("no newline at the end");
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      reader.line(text.substr(at, end - at));
      at = end + 1;
    }
    return std::move(reader.out_);
  }

 private:
  void fault(const std::string& what) { out_.faults.push_back(what); }

  static bool is_name(const std::string& text) {
    if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0]))) return false;
    for (const char c : text) {
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != ':') return false;
    }
    return true;
  }

  void line(const std::string& text) {
    if (text.empty()) return fault("empty line");
    if (text.starts_with("# HELP ") || text.starts_with("# TYPE ")) return comment(text);
    if (text[0] == '#') return fault("odd comment: " + text);
    sample(text);
  }

  void comment(const std::string& text) {
    const std::size_t blank = text.find(' ', 7);
    const std::string name = text.substr(7, blank - 7);
    const std::string rest = blank == std::string::npos ? "" : text.substr(blank + 1);
    if (!is_name(name) || rest.empty()) fault("bad comment: " + text);
    auto& table = text[2] == 'H' ? out_.helps : out_.types;
    if (!table.emplace(name, rest).second) fault("twice: " + text);
    if (text[2] == 'T') {
      family_ = name;
      if (!out_.helps.contains(name)) fault("TYPE before HELP: " + name);
      if ((rest == "counter") != name.ends_with("_total")) fault("suffix: " + name);
    }
  }

  void sample(const std::string& text) {
    Exposition::Sample one;
    std::size_t at = text.find_first_of("{ ");
    if (at == std::string::npos) return fault("no value: " + text);
    one.name = text.substr(0, at);
    if (text[at] == '{' && !labels(text, at, one.labels)) return fault("bad labels: " + text);
    if (at >= text.size() || text[at] != ' ') return fault("no blank before the value: " + text);
    char* end = nullptr;
    one.value = std::strtod(text.c_str() + at + 1, &end);
    if (end == text.c_str() + at + 1 || *end != '\0') fault("bad value: " + text);
    const bool histogram = out_.types[family_] == "histogram";
    const std::string suffix = one.name.starts_with(family_) ? one.name.substr(family_.size()) : "?";
    if (histogram ? suffix != "_bucket" && suffix != "_sum" && suffix != "_count" : !suffix.empty()) {
      fault("sample outside of its family: " + text);
    }
    if (!seen_.insert(text.substr(0, at)).second) fault("series twice: " + text);
    out_.samples.push_back(std::move(one));
  }

  // From the opening bracket; leaves `at` behind the closing one.
  static bool labels(const std::string& text, std::size_t& at, Exposition::Labels& out) {
    ++at;
    while (at < text.size() && text[at] != '}') {
      const std::size_t equals = text.find("=\"", at);
      if (equals == std::string::npos) return false;
      const std::string name = text.substr(at, equals - at);
      if (!is_name(name)) return false;
      std::string value;
      for (at = equals + 2; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] != '\\') {
          value += text[at];
          continue;
        }
        const char next = ++at < text.size() ? text[at] : '?';
        if (next != '\\' && next != '"' && next != 'n') return false;
        value += next == 'n' ? '\n' : next;
      }
      if (at >= text.size() || !out.emplace(name, value).second) return false;
      ++at;
      if (at < text.size() && text[at] == ',') ++at;
    }
    if (at >= text.size()) return false;
    ++at;
    return true;
  }

  Exposition out_;
  std::string family_;
  std::set<std::string> seen_;
};

}  // namespace sluice::server
