#include "net/resolver.h"

#include <ares.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <ranges>
#include <utility>

#include "base/result.h"
#include "event/timer.h"
#include "event/watch.h"

namespace sluice::net {

namespace {

constexpr int kTimeoutMilliseconds = 2000;  // of the first try; c-ares doubles it
constexpr int kTries = 3;
constexpr std::size_t kMostAddresses = 64;
constexpr std::size_t kMostName = 253;  // RFC 1035 §2.3.4, as text
constexpr int kMostRounds = 32;         // calls into c-ares for one edge before others get their turn
constexpr Duration kLeastTtl = std::chrono::seconds(5);
constexpr Duration kMostTtl = std::chrono::seconds(300);

constexpr int kClassInternet = 1;
constexpr int kTypeSrv = 33;

constexpr const char* kResolvConf = "/etc/resolv.conf";

void initialise_library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  check(status == ARES_SUCCESS, "ares_library_init");
}

timespec modified(const char* file) {
  struct stat facts {};
  return stat(file, &facts) == 0 ? facts.st_mtim : timespec{};
}

bool is_localhost(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  constexpr std::string_view kName = "localhost";
  if (host.size() < kName.size()) return false;
  const std::string_view end = host.substr(host.size() - kName.size());
  const bool same = std::equal(end.begin(), end.end(), kName.begin(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
  return same && (host.size() == kName.size() || host[host.size() - kName.size() - 1] == '.');
}

bool is_name(const std::string& text) {
  const std::size_t most = kMostName + (text.ends_with('.') ? 1 : 0);
  return !text.empty() && text.size() <= most && text.find('\0') == std::string::npos;
}

Resolver::Answer failed(Lookup result, std::string why) { return {{}, {}, kLeastTtl, result, std::move(why)}; }

Resolver::Answer failed(int status) {
  const Lookup result = status == ARES_ENOTFOUND  ? Lookup::nxdomain
                        : status == ARES_ENODATA  ? Lookup::empty
                        : status == ARES_ETIMEOUT ? Lookup::timeout
                                                  : Lookup::failed;
  return failed(result, ares_strerror(status));
}

Duration clamped(std::int64_t ttl) { return std::clamp<Duration>(std::chrono::seconds(ttl), kLeastTtl, kMostTtl); }

// Of too many always the same ones, in whatever order they come; their order stays.
void keep_most(std::vector<Address>& addresses) {
  if (addresses.size() <= kMostAddresses) return;
  const auto less = [](const Address& a, const Address& b) { return std::ranges::lexicographical_compare(a.octets(), b.octets()); };
  std::vector<Address> sorted = addresses;
  std::ranges::nth_element(sorted, sorted.begin() + kMostAddresses, less);
  const Address limit = sorted[kMostAddresses];
  std::erase_if(addresses, [&](const Address& one) { return !less(one, limit); });
}

Resolver::Answer answer_of(const ares_addrinfo& found, std::uint16_t port) {
  Resolver::Answer answer;
  int ttl = static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(kMostTtl).count());
  for (const ares_addrinfo_cname* name = found.cnames; name; name = name->next) ttl = std::min(ttl, name->ttl);
  for (const ares_addrinfo_node* node = found.nodes; node; node = node->ai_next) {
    Address address = Address::from(node->ai_addr, node->ai_addrlen);
    address.set_port(port);
    answer.addresses.push_back(address);
    ttl = std::min(ttl, node->ai_ttl);
  }
  keep_most(answer.addresses);
  answer.ttl = clamped(ttl);
  return answer.addresses.empty() ? failed(Lookup::empty, "the name has no address") : answer;
}

Resolver::Answer answer_of(Bytes message) {
  auto found = read_services(message);
  if (!found) return failed(Lookup::failed, "the answer makes no sense");
  if (found->records.empty()) return failed(Lookup::empty, "the name has no SRV record of a server");
  return {{}, std::move(found->records), clamped(found->ttl), Lookup::ok, {}};
}

}  // namespace

// c-ares thinks in levels ("tell me while it is readable"), a Watch in edges. So each edge, and each new wish of c-ares,
// starts a pump that asks poll() what is ready now and goes on until nothing is.
struct Resolver::Impl {
  struct Socket final : event::WatchHandler {
    Socket(Impl& owner, int descriptor) : impl(owner), fd(descriptor) { watch.start(impl.loop, fd, *this); }
    void on_edge(event::Edge) override { impl.pump(fd); }
    Impl& impl;
    int fd;
    event::Watch watch;
    bool read = false;
    bool write = false;
  };
  struct Query {
    Impl& impl;
    std::string name;
    std::uint16_t port;
    bool services;
    std::move_only_function<void(Answer)> done;
  };

  Impl(event::Loop& event_loop, std::string dns_servers)
      : loop(event_loop), servers(std::move(dns_servers)), timer(event_loop, [this] { on_timer(); }) {
    initialise_library();
    open();
  }
  ~Impl() { ares_destroy(channel); }  // ends every query with ARES_EDESTRUCTION and takes back every socket

  void open();
  void reopen_if_changed();
  void use(const std::string& dns_servers);
  void ask(std::unique_ptr<Query> query);
  static std::unique_ptr<Query> ended(void* query, int status);
  void answered(Query& query, Answer answer);
  void pump(int fd);
  void on_timer();
  void rearm();
  void later(std::move_only_function<void()> task);
  static void on_socket(void* self, ares_socket_t fd, int readable, int writable);
  static void on_answer(void* query, int status, int timeouts, ares_addrinfo* found);
  static void on_services(void* query, int status, int timeouts, unsigned char* message, int size);

  event::Loop& loop;
  std::string servers;
  event::Timer timer;
  ares_channel channel = nullptr;
  timespec configured{};
  std::size_t outstanding = 0;
  std::vector<std::unique_ptr<Query>> again;  // taken back from servers that are not to be asked any more
  std::map<int, std::unique_ptr<Socket>> sockets;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);  // what deferred tasks look at
};

void Resolver::Impl::open() {
  configured = modified(kResolvConf);
  ares_options options{};
  options.timeout = kTimeoutMilliseconds;
  options.tries = kTries;
  options.sock_state_cb = on_socket;
  options.sock_state_cb_data = this;
  char files_then_dns[] = "fb";
  options.lookups = files_then_dns;
  const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
  check(ares_init_options(&channel, &options, mask) == ARES_SUCCESS, "ares_init_options");
  if (!servers.empty()) {
    check(ares_set_servers_ports_csv(channel, servers.c_str()) == ARES_SUCCESS, "the DNS servers are not addresses");
  }
}

// c-ares 1.18 reads the file once.
void Resolver::Impl::reopen_if_changed() {
  if (outstanding > 0) return;
  const timespec now = modified(kResolvConf);
  if (now.tv_sec == configured.tv_sec && now.tv_nsec == configured.tv_nsec) return;
  ares_destroy(channel);
  open();
}

void Resolver::Impl::use(const std::string& dns_servers) {
  if (dns_servers == servers) return;
  servers = dns_servers;
  ares_cancel(channel);
  ares_destroy(channel);
  open();
  for (auto& query : std::exchange(again, {})) ask(std::move(query));
}

void Resolver::Impl::ask(std::unique_ptr<Query> query) {
  reopen_if_changed();
  ++outstanding;
  Query& owned = *query.release();  // by c-ares, until it calls back
  if (owned.services) {
    ares_search(channel, owned.name.c_str(), kClassInternet, kTypeSrv, on_services, &owned);
  } else {
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(channel, owned.name.c_str(), nullptr, &hints, on_answer, &owned);
  }
  rearm();
}

// Null when there is nobody to be answered (yet).
std::unique_ptr<Resolver::Impl::Query> Resolver::Impl::ended(void* raw, int status) {
  std::unique_ptr<Query> query(static_cast<Query*>(raw));
  --query->impl.outstanding;
  if (status == ARES_ECANCELLED) query->impl.again.push_back(std::move(query));
  if (status == ARES_EDESTRUCTION) query.reset();
  return query;
}

// Not from inside c-ares: the caller may ask again or destroy the Resolver.
void Resolver::Impl::answered(Query& query, Answer answer) {
  later([done = std::move(query.done), answer = std::move(answer)]() mutable { done(std::move(answer)); });
}

void Resolver::Impl::on_answer(void* raw, int status, int, ares_addrinfo* found) {
  if (const auto query = ended(raw, status)) {
    query->impl.answered(*query, status == ARES_SUCCESS && found ? answer_of(*found, query->port) : failed(status));
  }
  if (found) ares_freeaddrinfo(found);
}

void Resolver::Impl::on_services(void* raw, int status, int, unsigned char* message, int size) {
  if (const auto query = ended(raw, status)) {
    query->impl.answered(*query, status == ARES_SUCCESS && message ? answer_of(Bytes(message, static_cast<std::size_t>(size)))
                                                                   : failed(status));
  }
}

void Resolver::Impl::on_socket(void* self, ares_socket_t fd, int readable, int writable) {
  Impl& impl = *static_cast<Impl*>(self);
  if (!readable && !writable) {
    const auto at = impl.sockets.find(fd);
    if (at == impl.sockets.end()) return;
    at->second->watch.stop();  // c-ares closes the descriptor next
    impl.loop.retire(std::move(at->second));
    impl.sockets.erase(at);
    return;
  }
  auto& socket = impl.sockets[fd];
  if (!socket) socket = std::make_unique<Socket>(impl, fd);
  // The edge for a wish that comes now may have passed already.
  const bool wishes_more = (readable && !socket->read) || (writable && !socket->write);
  socket->read = readable != 0;
  socket->write = writable != 0;
  if (wishes_more) impl.later([&impl, fd] { impl.pump(fd); });
}

void Resolver::Impl::pump(int fd) {
  for (int round = 0;; ++round) {
    const auto at = sockets.find(fd);
    if (at == sockets.end()) break;
    const Socket& socket = *at->second;
    pollfd ready{fd, static_cast<short>((socket.read ? POLLIN : 0) | (socket.write ? POLLOUT : 0)), 0};
    if (poll(&ready, 1, 0) <= 0) break;
    if (round == kMostRounds) {
      later([this, fd] { pump(fd); });
      break;
    }
    const bool failing = (ready.revents & (POLLERR | POLLHUP)) != 0;
    const bool can_read = failing || (ready.revents & POLLIN) != 0;
    const bool can_write = (ready.revents & POLLOUT) != 0;
    ares_process_fd(channel, can_read ? fd : ARES_SOCKET_BAD, can_write ? fd : ARES_SOCKET_BAD);
  }
  rearm();
}

void Resolver::Impl::on_timer() {
  ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  rearm();
}

void Resolver::Impl::rearm() {
  timeval raw{};
  if (!ares_timeout(channel, nullptr, &raw)) return timer.cancel();
  timer.arm(std::chrono::seconds(raw.tv_sec) + std::chrono::microseconds(raw.tv_usec));
}

// After this pass of the loop, unless the Resolver is gone by then.
void Resolver::Impl::later(std::move_only_function<void()> task) {
  loop.defer([token = std::weak_ptr<bool>(alive), task = std::move(task)]() mutable {
    if (token.lock()) task();
  });
}

Resolver::Resolver(event::Loop& loop, const std::string& servers) : impl_(std::make_unique<Impl>(loop, servers)) {}
Resolver::~Resolver() = default;

void Resolver::resolve(const std::string& host, std::uint16_t port, std::move_only_function<void(Answer)> done) {
  if (const auto literal = Address::parse(host, port)) return done({{*literal}, {}, kMostTtl, Lookup::ok, {}});
  if (is_localhost(host)) {
    return done({{*Address::parse("127.0.0.1", port), *Address::parse("::1", port)}, {}, kMostTtl, Lookup::ok, {}});
  }
  if (!is_name(host)) return done(failed(Lookup::failed, "not a host name"));
  impl_->ask(std::unique_ptr<Impl::Query>(new Impl::Query{*impl_, host, port, false, std::move(done)}));
}

void Resolver::resolve_services(const std::string& name, std::move_only_function<void(Answer)> done) {
  if (!is_name(name)) return done(failed(Lookup::failed, "not a name"));
  impl_->ask(std::unique_ptr<Impl::Query>(new Impl::Query{*impl_, name, 0, true, std::move(done)}));
}

void Resolver::use(const std::string& servers) { impl_->use(servers); }

}  // namespace sluice::net
