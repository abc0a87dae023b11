#include "net/tls_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/result.h"
#include "net/address.h"

namespace sluice::net {

struct TlsClient::Impl {
  SSL_CTX* ctx = nullptr;
  ~Impl() { SSL_CTX_free(ctx); }
};

TlsClient::TlsClient(std::unique_ptr<Impl> impl, bool http) : impl_(std::move(impl)), http_(http) {}
TlsClient::~TlsClient() = default;

namespace {

BIO* memory(std::string_view text) { return BIO_new_mem_buf(text.data(), static_cast<int>(text.size())); }

bool add_ca(SSL_CTX* ctx, const std::string& pem) {
  BIO* bio = memory(pem);
  std::size_t count = 0;
  while (X509* ca = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
    X509_free(ca);
    ++count;
  }
  BIO_free(bio);
  ERR_clear_error();
  return count > 0;
}

bool add_certificate(SSL_CTX* ctx, const TlsClientSettings& settings) {
  BIO* bio = memory(settings.certificate);
  X509* leaf = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  bool good = leaf && SSL_CTX_use_certificate(ctx, leaf) == 1;
  X509_free(leaf);
  while (X509* chain = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(ctx, chain) != 1) X509_free(chain);
  }
  BIO_free(bio);
  bio = memory(settings.key.reveal());
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  good = good && key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
  EVP_PKEY_free(key);
  BIO_free(bio);
  ERR_clear_error();
  return good;
}

}  // namespace

std::unique_ptr<TlsClient> TlsClient::make(CryptoContext& context, const TlsClientSettings& settings,
                                           std::string& why) {
  auto impl = std::make_unique<Impl>();
  impl->ctx = SSL_CTX_new_ex(context.raw(), nullptr, TLS_client_method());
  check(impl->ctx != nullptr, "SSL_CTX_new_ex");
  SSL_CTX_set_min_proto_version(impl->ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(impl->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(impl->ctx,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(impl->ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_ciphersuites(impl->ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set_verify(impl->ctx, SSL_VERIFY_PEER, nullptr);
  if (settings.ca.empty()) {
    SSL_CTX_set_default_verify_paths(impl->ctx);
  } else if (!add_ca(impl->ctx, settings.ca)) {
    why = "ca holds no certificate";
    return nullptr;
  }
  if (!settings.certificate.empty() && !add_certificate(impl->ctx, settings)) {
    why = "the client certificate and its key do not belong together";
    return nullptr;
  }
  return std::unique_ptr<TlsClient>(new TlsClient(std::move(impl), settings.http));
}

ssl_st* TlsClient::connect(const std::string& name) const {
  SSL* ssl = SSL_new(impl_->ctx);
  check(ssl != nullptr, "SSL_new");
  SSL_set_connect_state(ssl);
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl);
  if (Address::parse(name, 0)) {
    X509_VERIFY_PARAM_set1_ip_asc(verify, name.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl, name.c_str());  // literals are not sent as SNI (RFC 6066 §3)
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(verify, name.c_str(), name.size());
  }
  if (!http_) return ssl;
  constexpr unsigned char kAlpn[] = "\x08http/1.1";
  SSL_set_alpn_protos(ssl, kAlpn, sizeof kAlpn - 1);
  return ssl;
}

}  // namespace sluice::net
