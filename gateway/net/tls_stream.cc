#include "net/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

namespace sluice::net {

namespace {

// Of ciphertext in one receive: with the record that OpenSSL has in part, mostly three records, which leave as one segment.
constexpr std::size_t kReceive = 56 * 1024;
constexpr std::size_t kGather = kChunk + kSlack;
// Room that decrypting one receive may need: one record that was partly inside OpenSSL before.
constexpr std::size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;
// What a write may leave owed, with room to spare. More can only be answers (alerts, key updates) to one who keeps asking
// for them and does not read them.
constexpr std::size_t kMostOwed = 128 * 1024;
// Octets without any plaintext among them, far more than a record and the messages that may follow a handshake.
constexpr std::size_t kMostSilent = 128 * 1024;

// What one write is cut into: whole records out of the parts themselves as far as they go, and between them records gathered
// from what is smaller, so that small frames share one: a record costs 29 octets and a microsecond.
class Pieces {
 public:
  Pieces(std::span<const Bytes> parts, std::uint8_t* room) : parts_(parts), room_(room) {}
  Bytes next() {
    while (!parts_.empty() && at_ == parts_.front().size()) advance();
    if (parts_.empty()) return {};
    const Bytes rest = parts_.front().subspan(at_);
    if (rest.size() >= kRecord || parts_.size() == 1) {
      const std::size_t size = parts_.size() == 1 ? rest.size() : rest.size() - rest.size() % kRecord;
      at_ += size;
      return rest.first(size);
    }
    std::size_t filled = 0;
    while (!parts_.empty() && filled < kRecord) {
      const Bytes more = parts_.front().subspan(at_);
      const std::size_t size = std::min(more.size(), kRecord - filled);
      if (size > 0) std::memcpy(room_ + filled, more.data(), size);
      filled += size;
      at_ += size;
      if (at_ == parts_.front().size()) advance();
    }
    return {room_, filled};
  }

 private:
  void advance() {
    parts_ = parts_.subspan(1);
    at_ = 0;
  }
  std::span<const Bytes> parts_;
  std::uint8_t* room_;
  std::size_t at_ = 0;  // octets of the first part that are gone
};

// The queue is empty nearly always, and clearing it looks at all of its places.
void clear_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace

// ---- the BIO: reads from the turn's ciphertext, writes into the turn's gathering buffer ------------------------------

bio_method_st* TlsStream::method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* raw = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice");
    check(raw != nullptr, "BIO_meth_new");
    BIO_meth_set_read_ex(raw, &TlsStream::bio_read);
    BIO_meth_set_write_ex(raw, &TlsStream::bio_write);
    BIO_meth_set_ctrl(raw, &TlsStream::bio_control);
    return raw;
  }();
  return made;
}

int TlsStream::bio_read(bio_st* bio, char* to, std::size_t most, std::size_t* n) {
  auto& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (stream.in_.empty()) {
    *n = 0;
    if (!stream.ended_) BIO_set_retry_read(bio);
    return 0;
  }
  *n = std::min(most, stream.in_.size());
  std::memcpy(to, stream.in_.data(), *n);
  stream.in_ = stream.in_.subspan(*n);
  return 1;
}

int TlsStream::bio_write(bio_st* bio, const char* from, std::size_t size, std::size_t* n) {
  auto& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  Turn& turn = stream.place_.turn;
  if (stream.gathered_ + size > kGather) {
    // A flight larger than the gathering buffer: to the owed octets, in order.
    stream.out_.append({turn.cipher_out.get(), stream.gathered_});
    stream.gathered_ = 0;
    stream.out_.append(as_bytes({from, size}));
  } else {
    std::memcpy(turn.cipher_out.get() + stream.gathered_, from, size);
    stream.gathered_ += size;
  }
  *n = size;
  return 1;
}

long TlsStream::bio_control(bio_st*, int command, long, void*) {
  // OpenSSL flushes after each flight; everything else is optional.
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

// ---- life -------------------------------------------------------------------------------------------------------------

TlsStream::TlsStream(const Place& place, Fd fd, ssl_st* ssl, bool connecting)
    : SocketStream(place, std::move(fd), connecting), ssl_(ssl), out_(place.pool) {
  BIO* bio = BIO_new(method());
  check(bio != nullptr, "BIO_new");
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
}

TlsStream::~TlsStream() {
  TlsStream::close();
  SSL_free(ssl_);
}

void TlsStream::close() {
  out_.clear();
  unsent_ = false;
  SocketStream::close();
}

namespace {

bool is_fault_of_crl(long verify) {
  switch (verify) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD: return true;
    default: return false;
  }
}

}  // namespace

Io TlsStream::fatal(int code) {
  if (code == SSL_ERROR_ZERO_RETURN) {
    ended_ = true;
    return Io::end;
  }
  if (*failure_ == 0) {
    const long verify = SSL_get_verify_result(ssl_);
    const unsigned long error = ERR_peek_last_error();
    if (verify != X509_V_OK) {
      failure_ = X509_verify_cert_error_string(verify);
      crl_unusable_ = is_fault_of_crl(verify);
    } else if (const char* reason = ERR_reason_error_string(error)) {
      failure_ = reason;
    } else {
      failure_ = "connection ended in the handshake";
    }
  }
  ERR_clear_error();
  // An alert may be waiting to be sent: let it go, whatever comes of it.
  [[maybe_unused]] const Io sent = flush();
  return Io::error;
}

// ---- reading ----------------------------------------------------------------------------------------------------------

Io TlsStream::fill() {
  if (ended_) return Io::end;
  if (starved_) {
    // A flight of the handshake that did not leave whole goes on when there is room again.
    if (!established_ && !out_.empty() && !jammed_ && flush() == Io::error) return Io::error;
    return Io::blocked;
  }
  const std::size_t have = received().size();
  if (have >= kChunk) return Io::blocked;
  std::size_t n = 0;
  // The kernel's octets go into the thread's chunk and are all decrypted before this call returns.
  const Io io = receive({place_.turn.cipher_in.get(), std::min(kReceive, kChunk - have)}, n);
  if (io == Io::blocked || io == Io::error) return io;
  if (io == Io::end) ended_ = true;
  in_ = {place_.turn.cipher_in.get(), n};
  const Io plain = decrypt();
  in_ = {};
  if (plain == Io::error) return plain;
  const Io sent = flush();  // the handshake's answers, key updates
  if (sent == Io::error) return sent;
  const bool some = received().size() > have;
  if (plain == Io::end) return some ? Io::ok : Io::end;
  silent_ = some ? 0 : silent_ + static_cast<std::uint32_t>(n);
  if (silent_ > kMostSilent || out_.size() > kMostOwed) {
    failure_ = "a flood of records without data";
    return Io::error;
  }
  return Io::ok;
}

Io TlsStream::decrypt() {
  while (true) {
    MutableBytes room = receiving_room(kChunk + kRecord);
    check(room.size() >= kRecord, "no room to decrypt into");
    clear_errors();
    std::size_t n = 0;
    const int result = SSL_read_ex(ssl_, room.data(), room.size(), &n);
    if (!established_ && SSL_is_init_finished(ssl_)) established_ = true;
    if (result == 1) {
      arrived(n);
      continue;
    }
    const int code = SSL_get_error(ssl_, result);
    if (code == SSL_ERROR_WANT_READ) return ended_ ? Io::end : Io::ok;
    if (code == SSL_ERROR_WANT_WRITE) return Io::ok;  // cannot happen: our BIO takes every write
    return fatal(code);
  }
}

// ---- writing ----------------------------------------------------------------------------------------------------------

Io TlsStream::flush() {
  Io io = Io::ok;
  if (!out_.empty() || jammed_) {
    out_.append({place_.turn.cipher_out.get(), gathered_});
    gathered_ = 0;
    if (!out_.empty()) {
      const Bytes part = out_.bytes();
      std::size_t taken = 0;
      io = send({&part, 1}, taken);
      out_.consume(taken);
    }
  } else if (gathered_ > 0) {
    const Bytes part{place_.turn.cipher_out.get(), gathered_};
    std::size_t taken = 0;
    io = send({&part, 1}, taken);
    out_.append(part.subspan(taken));
    gathered_ = 0;
  }
  unsent_ = !out_.empty();
  if (finishing_ && out_.empty() && io == Io::ok && fd() >= 0) {
    ::shutdown(fd(), SHUT_WR);
    finishing_ = false;
  }
  return io;
}

Io TlsStream::write(std::span<const Bytes> parts, std::size_t& taken) {
  taken = 0;
  if (fd() < 0) return Io::error;
  if (!out_.empty()) {
    const Io io = flush();
    if (io != Io::ok) return io;
  }
  if (jammed_) return parts.empty() ? Io::ok : Io::blocked;

  if (parts.empty() && established_) return Io::ok;
  clear_errors();
  if (!established_) {
    const int result = SSL_do_handshake(ssl_);
    if (SSL_is_init_finished(ssl_)) established_ = true;
    if (result != 1) {
      const int code = SSL_get_error(ssl_, result);
      if (code != SSL_ERROR_WANT_READ) return fatal(code);
      const Io io = flush();
      return io == Io::error ? io : Io::blocked;
    }
  }
  Pieces pieces(parts, place_.turn.scratch.get());
  for (Bytes piece = pieces.next(); !piece.empty(); piece = pieces.next()) {
    while (!piece.empty()) {  // a record each time
      std::size_t n = 0;
      const int result = SSL_write_ex(ssl_, piece.data(), piece.size(), &n);
      if (result != 1) return fatal(SSL_get_error(ssl_, result));
      piece = piece.subspan(n);
      taken += n;
    }
  }
  const Io io = flush();
  // What the kernel did not take is kept as ciphertext: all of it is ours to deliver.
  return io == Io::error ? io : Io::ok;
}

void TlsStream::finish() {
  if (finishing_ || fd() < 0 || (SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) != 0) return;
  finishing_ = true;
  if (established_) {
    clear_errors();
    SSL_shutdown(ssl_);
  }
  [[maybe_unused]] const Io io = flush();
}

// ---- facts --------------------------------------------------------------------------------------------------------------

bool TlsStream::resumed() const { return SSL_session_reused(ssl_) == 1; }

std::string_view TlsStream::version() const { return SSL_get_version(ssl_); }

std::string_view TlsStream::alpn() const {
  const unsigned char* text = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &text, &size);
  return {reinterpret_cast<const char*>(text), size};
}

std::string TlsStream::sni() const {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  std::string text = name ? name : "";
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool TlsStream::has_client_certificate() const {
  return SSL_get0_peer_certificate(ssl_) != nullptr && SSL_get_verify_result(ssl_) == X509_V_OK;
}

std::shared_ptr<const ClientCertificate> TlsStream::client_certificate() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  return certificate ? std::make_shared<const ClientCertificate>(read_certificate(*certificate)) : nullptr;
}

std::string TlsStream::client_subject() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (!certificate) return {};
  BIO* memory = BIO_new(BIO_s_mem());
  X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(memory);
  return text;
}

std::string TlsStream::client_name() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (!certificate) return {};
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return name;
}

std::string TlsStream::client_san() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (!certificate) return {};
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::array<std::string, 2> found;  // URI, DNS
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI && name->type != GEN_DNS) continue;
    const ASN1_IA5STRING* text = name->type == GEN_URI ? name->d.uniformResourceIdentifier : name->d.dNSName;
    const std::string value(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                            static_cast<std::size_t>(ASN1_STRING_length(text)));
    std::string& place = found[name->type == GEN_URI ? 0 : 1];
    // A name with a NUL, a line break or the like inside is a trick, not a name.
    const bool visible = std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7f; });
    if (place.empty() && visible) place = value;
  }
  GENERAL_NAMES_free(names);
  return found[0].empty() ? found[1] : found[0];
}

}  // namespace sluice::net
