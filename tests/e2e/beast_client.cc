// Boost.Beast as a client of the gateway: beast_client PORT CA TOKEN. Runs its scenarios over TLS; 0 when all hold.
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

namespace beast = boost::beast;
namespace websocket = beast::websocket;
namespace net = boost::asio;
namespace ssl = net::ssl;
using Socket = websocket::stream<beast::ssl_stream<beast::tcp_stream>>;

struct Options {
  std::string port, ca, token;
};

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

class Client {
 public:
  Client(const Options& options, const std::string& path, bool with_token, bool deflate)
      : context_(ssl::context::tls_client), socket_(io_, prepared(context_, options)) {
    socket_.next_layer().set_verify_callback(ssl::host_name_verification("localhost"));
    require(SSL_set_tlsext_host_name(socket_.next_layer().native_handle(), "localhost") == 1, "SNI");
    beast::get_lowest_layer(socket_).expires_after(std::chrono::seconds(15));
    beast::get_lowest_layer(socket_).connect(
        net::ip::tcp::endpoint(net::ip::make_address("127.0.0.1"),
                               static_cast<std::uint16_t>(std::stoi(options.port))));
    socket_.next_layer().handshake(ssl::stream_base::client);
    if (deflate) {
      websocket::permessage_deflate offer;
      offer.client_enable = true;
      socket_.set_option(offer);
    }
    socket_.read_message_max(64 << 20);
    socket_.set_option(websocket::stream_base::decorator([&](websocket::request_type& request) {
      if (with_token) request.set(beast::http::field::authorization, "Bearer " + options.token);
    }));
    socket_.handshake(response_, "localhost:" + options.port, path, error_);
  }

  static ssl::context& prepared(ssl::context& context, const Options& options) {
    context.load_verify_file(options.ca);
    context.set_verify_mode(ssl::verify_peer);
    return context;
  }

  bool open() const { return !error_; }
  const beast::error_code& error() const { return error_; }
  const websocket::response_type& response() const { return response_; }
  Socket& socket() { return socket_; }

  std::string ask(const std::string& data, bool binary) {
    socket_.binary(binary);
    socket_.write(net::buffer(data));
    beast::flat_buffer buffer;
    socket_.read(buffer);
    require(socket_.got_binary() == binary, "the kind of the answer");
    return beast::buffers_to_string(buffer.data());
  }

 private:
  net::io_context io_;
  ssl::context context_;
  Socket socket_;
  websocket::response_type response_;
  beast::error_code error_;
};

void echoes(const Options& options) {
  Client client(options, "/chat", true, false);
  require(client.open(), "handshake");
  require(client.ask("hello", false) == "hello", "text");
  require(client.ask(std::string(3 << 20, 'x'), true).size() == 3 << 20, "3 MiB");
  require(client.ask("", true).empty(), "empty message");
  client.socket().auto_fragment(true);
  client.socket().write_buffer_bytes(512 + 1024);
  const std::string fragmented(100'000, 'f');
  require(client.ask(fragmented, false) == fragmented, "fragments");
  client.socket().close(websocket::close_reason(static_cast<websocket::close_code>(4100), "bye"));
  require(client.socket().reason().code == 4100, "close code");
}

void deflates(const Options& options) {
  Client client(options, "/chat", true, true);
  require(client.open(), "handshake");
  require(client.response()["Sec-WebSocket-Extensions"].find("permessage-deflate") != std::string::npos, "extension");
  const std::string text(200'000, 'z');
  for (int n = 0; n < 5; ++n) require(client.ask(text, false) == text, "compressed echo");
  client.socket().close(websocket::close_code::normal);
}

void pings(const Options& options) {
  Client client(options, "/chat", true, false);
  std::string pong;
  client.socket().control_callback([&pong](websocket::frame_type kind, beast::string_view payload) {
    if (kind == websocket::frame_type::pong) pong = std::string(payload);
  });
  client.socket().ping("beat");
  require(client.ask("x", false) == "x", "echo after a ping");
  if (pong.empty()) client.ask("y", false);
  require(pong == "beat", "pong");
}

void refusals(const Options& options) {
  Client without(options, "/chat", false, false);
  require(without.error() == websocket::error::upgrade_declined, "declined without a token");
  Client lost(options, "/nowhere", true, false);
  require(lost.error() == websocket::error::upgrade_declined, "declined where no route is");
}

void backend_closes(const Options& options) {
  Client client(options, "/chat", true, false);
  client.socket().write(net::buffer(std::string("close 4242")));
  beast::flat_buffer buffer;
  beast::error_code error;
  client.socket().read(buffer, error);
  require(error == websocket::error::closed && client.socket().reason().code == 4242, "the backend's close code");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const Options options{argv[1], argv[2], argv[3]};
  const std::pair<const char*, void (*)(const Options&)> scenarios[] = {
      {"echoes", echoes}, {"deflates", deflates}, {"pings", pings}, {"refusals", refusals},
      {"backend closes", backend_closes}};
  int failed = 0;
  for (const auto& [name, run] : scenarios) {
    try {
      run(options);
      std::cout << "ok      " << name << "\n";
    } catch (const std::exception& fault) {
      std::cout << "FAILED  " << name << ": " << fault.what() << "\n";
      ++failed;
    }
  }
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
