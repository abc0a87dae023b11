#include "net/tls_profile.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <map>

#include "base/random.h"
#include "base/result.h"
#include "net/address.h"
#include "net/crypto_owner.h"

namespace sluice::net {

namespace {

using CtxPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CipherPtr = std::unique_ptr<EVP_CIPHER, Freer<EVP_CIPHER_free>>;

constexpr std::size_t kTicketIv = 16;  // one block of AES-256-CBC

BioPtr memory(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = reason ? reason : "unknown error";
  ERR_clear_error();
  return text;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::vector<std::string> dns_names(const X509* certificate) {
  std::vector<std::string> out;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                     static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    if (text.find('\0') == std::string::npos) out.push_back(lower(std::move(text)));
  }
  GENERAL_NAMES_free(names);
  return out;
}

using ReadCertificate = X509* (*)(BIO*, X509**, pem_password_cb*, void*);

// The next certificate of a PEM text, or nullptr. It belongs to the worker's own library context, as everything that a
// handshake touches: objects of the default one are shared, and their locks with them.
X509Ptr next_certificate(CryptoContext& context, BIO* bio, ReadCertificate read) {
  X509* raw = X509_new_ex(context.raw(), nullptr);
  check(raw != nullptr, "X509_new_ex");
  if (read(bio, &raw, nullptr, nullptr) != nullptr) return X509Ptr(raw);
  X509_free(raw);  // null when the reader has freed it
  return nullptr;
}

// The certificate's key and chain into the context; false and `why` when they do not fit together.
bool use_certificate(CryptoContext& context, SSL_CTX* ctx, const CertificateSettings& settings,
                     std::vector<std::string>& names, std::string& why) {
  const BioPtr certificate_bio = memory(settings.certificate);
  const X509Ptr leaf = next_certificate(context, certificate_bio.get(), PEM_read_bio_X509_AUX);
  if (!leaf || SSL_CTX_use_certificate(ctx, leaf.get()) != 1) {
    why = settings.name + ": not a certificate: " + openssl_reason();
    return false;
  }
  while (X509Ptr chain = next_certificate(context, certificate_bio.get(), PEM_read_bio_X509)) {
    if (SSL_CTX_add0_chain_cert(ctx, chain.get()) == 1) [[maybe_unused]] X509* const taken = chain.release();
  }
  ERR_clear_error();  // the loop ends on "no start line"
  const BioPtr key_bio = memory(settings.key.reveal());
  const KeyPtr key(PEM_read_bio_PrivateKey_ex(key_bio.get(), nullptr, nullptr, nullptr, context.raw(), nullptr));
  if (!key) {
    why = settings.name + ": the key cannot be read: " + openssl_reason();
    return false;
  }
  if (SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
    ERR_clear_error();
    why = settings.name + ": the key does not belong to the certificate";
    return false;
  }
  names = dns_names(leaf.get());
  return true;
}

// False and `why` when the text holds no list or one that cannot be read.
bool add_crls(CryptoContext& context, X509_STORE* store, const std::string& text, std::string& why) {
  const BioPtr bio = memory(text);
  std::size_t count = 0;
  while (true) {
    X509_CRL* raw = X509_CRL_new_ex(context.raw(), nullptr);
    check(raw != nullptr, "X509_CRL_new_ex");
    if (PEM_read_bio_X509_CRL(bio.get(), &raw, nullptr, nullptr) == nullptr) {
      X509_CRL_free(raw);
      break;
    }
    X509_STORE_add_crl(store, raw);
    X509_CRL_free(raw);
    ++count;
  }
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!ended) why = "crl_file cannot be read: " + openssl_reason();
  if (ended && count == 0) why = "crl_file holds no list of revoked certificates";
  ERR_clear_error();
  return ended && count > 0;
}

}  // namespace

struct TlsProfile::Impl {
  std::vector<CtxPtr> contexts;                // one per certificate, the first is the default
  std::map<std::string, SSL_CTX*> exact;       // by name
  std::map<std::string, SSL_CTX*> wildcard;    // by suffix with its leading dot
  TicketKeys tickets;
  CipherPtr ticket_cipher;                     // AES-256-CBC, fetched once: by its name it is looked up at every use
  std::vector<unsigned char> alpn;             // wire form, in order of preference
  bool strict_sni = false;

  SSL_CTX* find(std::string_view sni) const;
  static int on_sni(SSL* ssl, int* alert, void* self);
  static int on_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                     unsigned in_size, void* self);
  static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                       int encrypt);
  CtxPtr make_context(CryptoContext& context, const TlsSettings& settings, const CertificateSettings& certificate,
                      std::string& why);
};

SSL_CTX* TlsProfile::Impl::find(std::string_view sni) const {
  const std::string name = lower(std::string(sni));
  if (const auto it = exact.find(name); it != exact.end()) return it->second;
  // A wildcard stands for exactly one label (RFC 6125 §6.4.3).
  if (const std::size_t dot = name.find('.'); dot != std::string::npos && dot > 0) {
    if (const auto it = wildcard.find(name.substr(dot)); it != wildcard.end()) return it->second;
  }
  return nullptr;
}

int TlsProfile::Impl::on_sni(SSL* ssl, int* alert, void* self) {
  const Impl& impl = *static_cast<Impl*>(self);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (!name) return SSL_TLSEXT_ERR_NOACK;
  if (SSL_CTX* ctx = impl.find(name)) {
    SSL_set_SSL_CTX(ssl, ctx);  // every context was built by one function, so ALPN and tickets come along
    return SSL_TLSEXT_ERR_OK;
  }
  if (!impl.strict_sni) return SSL_TLSEXT_ERR_NOACK;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int TlsProfile::Impl::on_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                              unsigned in_size, void* self) {
  const Impl& impl = *static_cast<Impl*>(self);
  if (impl.alpn.empty()) return SSL_TLSEXT_ERR_NOACK;  // octets of any protocol: the server behind knows which
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, impl.alpn.data(), static_cast<unsigned>(impl.alpn.size()), in,
                            in_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301 §3.2: no_application_protocol
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int TlsProfile::Impl::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                                EVP_MAC_CTX* mac, int encrypt) {
  const Impl& impl = *static_cast<Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const TicketKey* key = &impl.tickets.front();
  if (encrypt) {
    std::memcpy(name, key->name.data(), key->name.size());
    random_fill({iv, kTicketIv});
  } else {
    const auto found = std::ranges::find_if(
        impl.tickets, [name](const TicketKey& k) { return std::memcmp(k.name.data(), name, k.name.size()) == 0; });
    if (found == impl.tickets.end()) return 0;  // full handshake
    key = &*found;
  }
  std::array<OSSL_PARAM, 3> params{
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<std::uint8_t*>(key->hmac.data()),
                                        key->hmac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>("SHA256"), 0),
      OSSL_PARAM_construct_end()};
  if (EVP_MAC_CTX_set_params(mac, params.data()) != 1 ||
      EVP_CipherInit_ex2(cipher, impl.ticket_cipher.get(), key->aes.data(), iv, encrypt, nullptr) != 1) {
    return -1;
  }
  if (encrypt) return 1;
  // 2: accepted, and the client is sent a fresh ticket. TLS 1.3 clients use each one once (RFC 8446 §C.4), so they get
  // one every time; under TLS 1.2 only when the key has moved on.
  return SSL_version(ssl) >= TLS1_3_VERSION || key != &impl.tickets.front() ? 2 : 1;
}

CtxPtr TlsProfile::Impl::make_context(CryptoContext& context, const TlsSettings& settings,
                                      const CertificateSettings& certificate, std::string& why) {
  CtxPtr ctx(SSL_CTX_new_ex(context.raw(), nullptr, TLS_server_method()));
  check(ctx != nullptr, "SSL_CTX_new_ex");
  SSL_CTX* raw = ctx.get();
  SSL_CTX_set_min_proto_version(raw, settings.min_version == "1.3" ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 1);
  SSL_CTX_set_max_early_data(raw, 0);
  SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20");
  // A client that takes AES-128 gets it: same strength class here, a third cheaper at large messages.
  SSL_CTX_set_ciphersuites(raw, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set1_groups_list(raw, "X25519:P-256:P-384");
  SSL_CTX_set_tlsext_servername_callback(raw, &Impl::on_sni);
  SSL_CTX_set_tlsext_servername_arg(raw, this);
  SSL_CTX_set_alpn_select_cb(raw, &Impl::on_alpn, this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(raw, &Impl::on_ticket);
  SSL_CTX_set_app_data(raw, this);
  // Tickets are bound to the certificate and the client-certificate policy that they were issued under (T10): a resumed
  // handshake asks for no certificate, so one that was let in without must not lead to where one is required.
  const char policy = static_cast<char>('0' + static_cast<int>(settings.client_auth));
  const Sha256 id = sha256(as_bytes(certificate.certificate + settings.client_ca + settings.client_crl + policy));
  SSL_CTX_set_session_id_context(raw, id.data(), static_cast<unsigned>(id.size()));

  std::vector<std::string> names;
  if (!use_certificate(context, raw, certificate, names, why)) return nullptr;
  for (const std::string& name : names) {
    if (name.starts_with("*.")) {
      wildcard.emplace(name.substr(1), raw);
    } else {
      exact.emplace(name, raw);
    }
  }
  if (settings.client_auth != TlsSettings::ClientAuth::off) {
    const BioPtr bio = memory(settings.client_ca);
    X509_STORE* store = SSL_CTX_get_cert_store(raw);
    std::size_t count = 0;
    while (const X509Ptr ca = next_certificate(context, bio.get(), PEM_read_bio_X509)) {
      X509_STORE_add_cert(store, ca.get());
      SSL_CTX_add_client_CA(raw, ca.get());
      ++count;
    }
    ERR_clear_error();
    if (count == 0) {
      why = "client_ca holds no certificate";
      return nullptr;
    }
    if (!settings.client_crl.empty() && !add_crls(context, store, settings.client_crl, why)) return nullptr;
    if (!settings.client_crl.empty()) {
      X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
      SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
      SSL_CTX_set_num_tickets(raw, 0);
    }
    const bool required = settings.client_auth == TlsSettings::ClientAuth::required;
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  }
  return ctx;
}

TlsProfile::TlsProfile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsProfile::~TlsProfile() = default;

std::unique_ptr<TlsProfile> TlsProfile::make(CryptoContext& context, const TlsSettings& settings,
                                             const TicketKeys& keys, std::string& why) {
  auto impl = std::make_unique<Impl>();
  impl->tickets = keys;
  impl->ticket_cipher.reset(EVP_CIPHER_fetch(context.raw(), "AES-256-CBC", nullptr));
  check(impl->ticket_cipher != nullptr, "AES-256-CBC is not available");
  impl->strict_sni = settings.strict_sni;
  for (const std::string& protocol : settings.alpn) {
    impl->alpn.push_back(static_cast<unsigned char>(protocol.size()));
    impl->alpn.insert(impl->alpn.end(), protocol.begin(), protocol.end());
  }
  if (settings.certificates.empty()) {
    why = "no certificate";
    return nullptr;
  }
  for (const CertificateSettings& certificate : settings.certificates) {
    CtxPtr ctx = impl->make_context(context, settings, certificate, why);
    if (!ctx) return nullptr;
    impl->contexts.push_back(std::move(ctx));
  }
  return std::unique_ptr<TlsProfile>(new TlsProfile(std::move(impl)));
}

void TlsProfile::set_ticket_keys(const TicketKeys& keys) { impl_->tickets = keys; }

ssl_st* TlsProfile::accept() const {
  SSL* ssl = SSL_new(impl_->contexts.front().get());
  check(ssl != nullptr, "SSL_new");
  SSL_set_accept_state(ssl);
  return ssl;
}

TicketKeys fresh_ticket_keys() {
  TicketKeys keys;
  for (TicketKey& key : keys) {
    random_fill(key.name);
    random_fill(key.aes);
    random_fill(key.hmac);
  }
  return keys;
}

TicketKeys rotate(const TicketKeys& keys) {
  TicketKeys next = fresh_ticket_keys();
  next[1] = keys[0];
  next[2] = keys[1];
  return next;
}

std::pair<const char*, const char*> openssl_version() {
  return {OPENSSL_VERSION_TEXT, OpenSSL_version(OPENSSL_VERSION)};
}

CertificateFacts certificate_facts(const std::string& pem) {
  CertificateFacts facts;
  const BioPtr bio = memory(pem);
  const X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!certificate) return facts;
  const BioPtr text(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate.get()), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  facts.subject.assign(data, static_cast<std::size_t>(size));
  facts.names = dns_names(certificate.get());
  tm when{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &when) == 1) facts.not_after = timegm(&when);
  std::array<unsigned char, 32> digest;
  unsigned digest_size = 0;
  X509_digest(certificate.get(), EVP_sha256(), digest.data(), &digest_size);
  for (const unsigned char octet : digest) {
    constexpr char kHex[] = "0123456789abcdef";
    facts.sha256 += kHex[octet >> 4];
    facts.sha256 += kHex[octet & 15];
  }
  return facts;
}

CertificateSettings self_signed_certificate(const std::vector<std::string>& names) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  check(key != nullptr, "P-256 key generation");
  const X509Ptr certificate(X509_new());
  X509* raw = certificate.get();
  X509_set_version(raw, X509_VERSION_3);
  std::array<std::uint8_t, 16> serial;
  random_fill(serial);
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(raw));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(raw), -300);
  X509_gmtime_adj(X509_getm_notAfter(raw), 90L * 24 * 3600);
  X509_set_pubkey(raw, key.get());
  X509_NAME* subject = X509_get_subject_name(raw);
  const std::string common = names.empty() ? "localhost" : names.front();
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common.c_str()), -1,
                             -1, 0);
  X509_set_issuer_name(raw, subject);
  std::string alternatives;
  for (const std::string& name : names) {
    if (!alternatives.empty()) alternatives += ",";
    alternatives += (Address::parse(name, 0) ? "IP:" : "DNS:") + name;
  }
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, raw, raw, nullptr, nullptr, 0);
  // CA:TRUE, so that clients may be told to trust this very certificate as their root.
  const std::pair<int, std::string> extensions[] = {{NID_basic_constraints, "critical,CA:TRUE"},
                                                    {NID_subject_key_identifier, "hash"},
                                                    {NID_subject_alt_name, alternatives},
                                                    {NID_ext_key_usage, "serverAuth"}};
  for (const auto& [id, value] : extensions) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
    check(extension != nullptr, "certificate extension");
    X509_add_ext(raw, extension, -1);
    X509_EXTENSION_free(extension);
  }
  check(X509_sign(raw, key.get(), EVP_sha256()) > 0, "certificate signature");

  CertificateSettings out{"self-signed", {}, {}};
  const BioPtr certificate_bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate_bio.get(), raw);
  char* data = nullptr;
  long size = BIO_get_mem_data(certificate_bio.get(), &data);
  out.certificate.assign(data, static_cast<std::size_t>(size));
  const BioPtr key_bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(key_bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  size = BIO_get_mem_data(key_bio.get(), &data);
  out.key = std::string_view(data, static_cast<std::size_t>(size));
  return out;
}

}  // namespace sluice::net
