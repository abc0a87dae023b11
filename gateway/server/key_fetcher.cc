#include "server/key_fetcher.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "event/timer.h"
#include "http/freshness.h"
#include "net/tls_client.h"
#include "policy/jwks.h"
#include "policy/key_schedule.h"
#include "server/own_request.h"

namespace sluice::server {

namespace {

constexpr JsonLimits kDocument{.octets = 256 * 1024, .depth = 16, .members = 200};
constexpr std::size_t kMostValidator = 256;  // octets of an ETag or Last-Modified that is sent back

KeyRefresh refresh_of(OwnRequest::Fault fault) {
  switch (fault) {
    case OwnRequest::Fault::dns: return KeyRefresh::dns;
    case OwnRequest::Fault::denied: return KeyRefresh::denied;
    case OwnRequest::Fault::connect: return KeyRefresh::connect;
    case OwnRequest::Fault::tls: return KeyRefresh::tls;
    case OwnRequest::Fault::timeout: return KeyRefresh::timeout;
    case OwnRequest::Fault::bad_answer: break;
  }
  return KeyRefresh::bad_answer;
}

// OpenID Connect Discovery 1.0 §4: a slash that ends the issuer is left out ahead of what is appended.
std::string document_url(std::string issuer) {
  if (issuer.ends_with('/')) issuer.pop_back();
  return issuer + "/.well-known/openid-configuration";
}

// A validator that may be sent back (RFC 9110 §8.8): visible ASCII and blanks, of reasonable size.
std::string validator(const http::Head& head, std::string_view name) {
  const std::string_view* value = head.find(name);
  if (!value || value->size() > kMostValidator || head.count(name) != 1) return {};
  const auto plain = [](char c) { return c >= 0x20 && c < 0x7f; };
  return std::ranges::all_of(*value, plain) ? std::string(*value) : std::string();
}

std::string status_text(int status) {
  return "status " + std::to_string(status) + (status >= 300 && status < 400 ? ", and redirects are not followed" : "");
}

}  // namespace

// One source: wait → (the issuer's document →) the set → judge → wait. The resolver and the mailbox hold it weakly.
class KeyFetcher::Entry : public std::enable_shared_from_this<Entry> {
 public:
  Entry(KeyFetcher& fetcher, std::string auth, std::shared_ptr<policy::KeySource> source)
      : fetcher_(fetcher),
        loop_(fetcher.place_.loop),
        auth_(std::move(auth)),
        source_(std::move(source)),
        schedule_(loop_.now()),
        timer_(loop_, [this] { on_time(); }) {}
  ~Entry() { source_->on_asked(nullptr); }

  const std::shared_ptr<policy::KeySource>& source() const { return source_; }

  void use(const policy::JwtSettings& jwt) {
    const bool first = tls_ == nullptr;
    const bool another_way = jwt.source.ca != settings_.ca || jwt.source.allow != settings_.allow;
    const bool other_algorithms = jwt.algorithms != algorithms_;
    settings_ = jwt.source;
    algorithms_ = jwt.algorithms;
    if (first) listen();
    if (first || another_way) {
      std::string why;
      tls_ = net::TlsClient::make(fetcher_.crypto_, {settings_.ca, {}, {}}, why);
      check(tls_ != nullptr, "TLS settings that the workers took are refused");
    }
    if (!first && (another_way || other_algorithms)) {
      etag_.clear();  // so that the set is judged again
      last_modified_.clear();
      schedule_.hurry(loop_.now());
    }
    plan();
  }

  void describe(KeyFacts& facts, Instant now) const {
    facts.last_success = last_success_;
    facts.age = schedule_.age(now);
  }

 private:
  // Workers ask on threads of their own.
  void listen() {
    source_->on_asked([&mailbox = fetcher_.mailbox_, weak = weak_from_this()] {
      mailbox.post([weak] {
        if (const auto entry = weak.lock()) entry->wanted();
      });
    });
  }

  void wanted() {
    const Instant now = loop_.now();
    schedule_.want(now);
    if (!schedule_.under_way() && schedule_.due() > now + policy::KeySource::kMostWait) source_->rest(schedule_.due());
    plan();
  }

  // For whatever comes first: the next fetch, or the end of what is there.
  void plan() {
    Instant next = schedule_.due();
    if (source_->keys()) next = std::min(next, schedule_.stale_at(settings_.stale_max));
    if (next == kNever) return timer_.cancel();
    timer_.arm(std::max<Duration>(next - loop_.now(), Duration::zero()));
  }

  void on_time() {
    const Instant now = loop_.now();
    if (source_->keys() && now >= schedule_.stale_at(settings_.stale_max)) {
      source_->withdraw();
      etag_.clear();  // what it would confirm is here no more
      last_modified_.clear();
      log::event(Level::error, "jwks_expired", {{"auth", auth_}});
    }
    if (now >= schedule_.due()) begin();
    plan();
  }

  void begin() {
    schedule_.began(loop_.now());
    if (!settings_.discovery) return ask_for_set(settings_.url);
    get(document_url(settings_.issuer), {{"Accept", "application/json"}}, &Entry::on_document);
  }

  using Answer = std::expected<http::ClientAnswer, OwnRequest::Failure>;
  using Fields = std::vector<std::pair<std::string, std::string>>;

  void get(const std::string& text, Fields fields, void (Entry::*method)(const http::ClientAnswer&)) {
    OwnRequestSettings settings;
    std::string why;
    auto url = http::Url::parse(text, why);
    if (!url) return failed(KeyRefresh::discovery, "its URL " + why);
    settings.url = std::move(*url);
    settings.fields = std::move(fields);
    settings.tls = tls_;
    settings.allow = settings_.allow;
    settings.max_body = policy::Jwks::kMaxOctets;
    request_ = std::make_unique<OwnRequest>(fetcher_.place_, fetcher_.resolver_, std::move(settings),
                                            [this, method](Answer answer) {
                                              loop_.retire(std::move(request_));  // it is what is calling
                                              if (!answer) return failed(refresh_of(answer.error().fault), answer.error().why);
                                              (this->*method)(*answer);
                                            });
  }

  // OpenID Connect Discovery 1.0 §4.3: a document of another issuer says nothing about this one.
  void on_document(const http::ClientAnswer& answer) {
    if (answer.head.status != 200) return failed(KeyRefresh::status, status_text(answer.head.status));
    const auto document = Json::parse(answer.body, kDocument);
    const auto text = [&](std::string_view name) -> const std::string* {
      const Json* member = document && document->is(Json::Type::object) ? document->find(name) : nullptr;
      return member && member->is(Json::Type::string) ? &member->text() : nullptr;
    };
    const std::string* issuer = text("issuer");
    const std::string* url = text("jwks_uri");
    if (!issuer || !url) return failed(KeyRefresh::discovery, "no document with an issuer and a jwks_uri");
    if (*issuer != settings_.issuer) return failed(KeyRefresh::discovery, "the document is of another issuer");
    ask_for_set(*url);
  }

  void ask_for_set(const std::string& url) {
    if (url != asked_url_) {  // what was said about another one's set
      etag_.clear();
      last_modified_.clear();
    }
    asked_url_ = url;
    Fields fields{{"Accept", "application/jwk-set+json, application/json"}};
    if (!etag_.empty()) fields.emplace_back("If-None-Match", etag_);
    if (!last_modified_.empty()) fields.emplace_back("If-Modified-Since", last_modified_);
    get(url, std::move(fields), &Entry::on_set);
  }

  void on_set(const http::ClientAnswer& answer) {
    const bool conditional = !etag_.empty() || !last_modified_.empty();
    if (answer.head.status == 304 && conditional) return succeeded(KeyRefresh::not_modified, answer.head);
    if (answer.head.status != 200) return failed(KeyRefresh::status, status_text(answer.head.status));
    std::string why;
    const auto set = policy::Jwks::parse(fetcher_.crypto_, answer.body, false, why);
    if (!set) return failed(KeyRefresh::bad_set, why);
    const auto usable = std::ranges::count_if(set->keys(), [this](const policy::Jwk& key) {
      return std::ranges::any_of(algorithms_, [&](net::JwsAlgorithm algorithm) { return key.serves(algorithm); });
    });
    if (usable == 0) return failed(KeyRefresh::bad_set, "no key of the set can serve the algorithms");
    etag_ = validator(answer.head, "ETag");
    last_modified_ = validator(answer.head, "Last-Modified");
    publish(answer.body, *set, static_cast<std::uint64_t>(usable));
    succeeded(KeyRefresh::ok, answer.head);
  }

  // The same text again costs the workers nothing.
  void publish(const std::string& text, const policy::Jwks& set, std::uint64_t usable) {
    const auto before = source_->keys();
    if (before && before->text == text) return;
    source_->publish(text);
    const std::string left_out = set.warnings().empty() ? std::string() : set.warnings().front();
    log::event(Level::info, "jwks_loaded",
               {{"auth", auth_}, {"keys", usable}, {"left_out", std::uint64_t{set.warnings().size()}}, {"first_left_out", left_out}});
  }

  void succeeded(KeyRefresh result, const http::Head& head) {
    const Instant now = loop_.now();
    ++fetcher_.refreshes_[auth_][static_cast<std::size_t>(result)];
    if (schedule_.failures() > 0) log::event(Level::info, "jwks_recovered", {{"auth", auth_}});
    last_success_ = std::chrono::duration<double>(loop_.wall().time_since_epoch()).count();
    // What is too old tomorrow is not asked for the day after.
    schedule_.succeeded(now, std::min<Duration>(http::freshness(head).value_or(policy::KeySchedule::kUnsaid), settings_.stale_max));
    source_->answered();
    plan();
  }

  void failed(KeyRefresh result, const std::string& why) {
    ++fetcher_.refreshes_[auth_][static_cast<std::size_t>(result)];
    if (schedule_.failures() == 0) {
      log::event(Level::warn, "jwks_failed",
                 {{"auth", auth_}, {"result", kKeyRefreshNames[static_cast<std::size_t>(result)]}, {"reason", why},
                  {"kept", source_->keys() ? "the keys that were had last" : "nothing: there are none yet"}});
    }
    schedule_.failed(loop_.now());
    source_->answered();
    plan();
  }

  KeyFetcher& fetcher_;
  event::Loop& loop_;
  const std::string auth_;
  const std::shared_ptr<policy::KeySource> source_;
  policy::KeySourceSettings settings_;
  std::vector<net::JwsAlgorithm> algorithms_;
  std::shared_ptr<const net::TlsClient> tls_;
  policy::KeySchedule schedule_;
  std::string asked_url_;
  std::string etag_;
  std::string last_modified_;
  std::optional<double> last_success_;
  std::unique_ptr<OwnRequest> request_;
  event::Timer timer_;
};

KeyFetcher::KeyFetcher(const net::Place& place, net::Resolver& resolver, event::Mailbox& mailbox)
    : place_(place), resolver_(resolver), mailbox_(mailbox) {}
KeyFetcher::~KeyFetcher() = default;

void KeyFetcher::watch(const std::vector<config::KeyUse>& uses) {
  std::map<std::string, std::shared_ptr<Entry>> before = std::exchange(entries_, {});
  for (const config::KeyUse& use : uses) {
    const auto known = before.find(use.auth->name);
    auto& entry = entries_[use.auth->name];
    if (known != before.end() && known->second->source() == use.source) {
      entry = std::move(known->second);
    } else {
      entry = std::make_shared<Entry>(*this, use.auth->name, use.source);
    }
    entry->use(use.auth->jwt);
  }
}

std::vector<KeyFacts> KeyFetcher::facts(Instant now) const {
  std::vector<KeyFacts> all;
  for (const auto& [name, entry] : entries_) {
    KeyFacts facts;
    facts.auth = name;
    if (const auto counted = refreshes_.find(name); counted != refreshes_.end()) facts.refreshes = counted->second;
    entry->describe(facts, now);
    all.push_back(std::move(facts));
  }
  return all;
}

}  // namespace sluice::server
