// TlsStream: a Stream over one socket and OpenSSL, with a BIO of our own. One recv() of up to 56 KiB into the thread's
// chunk, SSL_read until WANT_READ (a partial record stays inside OpenSSL, no ciphertext stays in the shared chunk); all
// records of a write are gathered in a thread-wide buffer and leave in one send(). The handshake is part of fill and
// write: octets of both roles' handshakes move inside them, every WANT_* stays inside.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/tcp_stream.h"
#include "net/tls_certificate.h"

struct ssl_st;
struct bio_st;
struct bio_method_st;

namespace sluice::net {

class TlsStream final : public SocketStream {
 public:
  // Owns `ssl`, which is in accept or connect state. `connecting` as for SocketStream.
  TlsStream(const Place& place, Fd fd, ssl_st* ssl, bool connecting);
  ~TlsStream() override;

  Io fill() override;
  Io write(std::span<const Bytes> parts, std::size_t& taken) override;
  void finish() override;
  void close() override;

  bool established() const { return established_; }
  bool resumed() const;
  std::string_view version() const;  // "TLSv1.3", a literal
  std::string_view alpn() const;     // dies with the stream
  std::string sni() const;           // lower case
  bool has_client_certificate() const;  // present and verified
  std::string client_subject() const;   // RFC 2253 text
  std::string client_name() const;      // the first CN of the subject in UTF-8; empty when none
  std::string client_san() const;       // first URI, else first DNS name, of those in visible ASCII; empty when none
  std::shared_ptr<const ClientCertificate> client_certificate() const;  // of a client that has one
  // The handshake has failed because of the list of revoked certificates, not of the client: it has expired, say.
  bool crl_unusable() const { return crl_unusable_; }
  // The ciphertext that waits for the kernel: what the connection keeps beyond OpenSSL's own.
  std::size_t owed() const override { return out_.size(); }
  bool keeps() const override { return true; }
  // What went wrong, for the log: OpenSSL's words, a literal. Empty when nothing did.
  std::string_view failure() const { return failure_; }

 private:
  static int bio_read(bio_st*, char*, std::size_t, std::size_t*);
  static int bio_write(bio_st*, const char*, std::size_t, std::size_t*);
  static long bio_control(bio_st*, int, long, void*);
  static bio_method_st* method();

  Io decrypt();        // SSL_read until it wants more
  Io flush();          // gathered records and what is owed → the kernel
  Io fatal(int code);  // an SSL_get_error that is neither WANT_READ nor WANT_WRITE

  ssl_st* ssl_;
  Bytes in_;               // ciphertext of this turn that OpenSSL has not taken yet
  std::size_t gathered_ = 0;  // octets in turn.cipher_out, of this stream, of this call
  Buffer out_;             // ciphertext that the kernel did not take
  const char* failure_ = "";
  std::uint32_t silent_ = 0;  // octets received since the last plaintext
  bool established_ = false;
  bool crl_unusable_ = false;
  bool finishing_ = false;  // shutdown(SHUT_WR) once out_ is empty
  bool ended_ = false;      // close_notify or end of the socket seen
};

}  // namespace sluice::net
