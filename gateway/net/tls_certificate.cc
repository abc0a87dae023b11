#include "net/tls_certificate.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>

#include "base/hex.h"
#include "base/utf8.h"
#include "net/crypto_owner.h"

namespace sluice::net {
namespace {

using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;

bool is_control(char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }
bool is_visible(char c) { return c > 0x20 && c < 0x7f; }

std::string_view text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)), static_cast<std::size_t>(ASN1_STRING_length(string))};
}

std::string shown(const X509_NAME* name) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

class Reader {
 public:
  explicit Reader(const X509& certificate) : certificate_(certificate) {}

  ClientCertificate read() {
    const X509_NAME* const subject = X509_get_subject_name(&certificate_);
    out_.subject = bounded(shown(subject));
    out_.issuer = bounded(shown(X509_get_issuer_name(&certificate_)));
    for (int i = 0; i < X509_NAME_entry_count(subject); ++i) part(X509_NAME_get_entry(subject, i));
    const NamesPtr names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate_, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) alternative(*sk_GENERAL_NAME_value(names.get(), i));
    facts();
    return std::move(out_);
  }

 private:
  std::string bounded(std::string text) {
    octets_ += text.size();
    if (octets_ <= ClientCertificate::kMostOctets) return text;
    out_.good = false;
    return {};
  }

  void add(std::vector<std::string>& names, std::string_view name, bool readable) {
    if (!readable || name.empty() || names.size() == ClientCertificate::kMostNames) {
      out_.good = false;
    } else if (std::string kept = bounded(std::string(name)); !kept.empty()) {
      names.push_back(std::move(kept));
    }
  }

  // One part of the subject's name.
  void part(const X509_NAME_ENTRY* entry) {
    unsigned char* raw = nullptr;
    const int size = ASN1_STRING_to_UTF8(&raw, X509_NAME_ENTRY_get_data(entry));
    if (size < 0) {
      ERR_clear_error();
      out_.good = false;
      return;
    }
    const std::string text(reinterpret_cast<const char*>(raw), static_cast<std::size_t>(size));
    OPENSSL_free(raw);
    const bool readable = std::ranges::none_of(text, is_control) && valid_utf8(as_bytes(text));
    if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) == NID_commonName) return add(out_.common_names, text, readable);
    if (!readable) out_.good = false;
  }

  void alternative(const GENERAL_NAME& name) {
    const auto take = [this](std::vector<std::string>& names, const ASN1_STRING* string) {
      const std::string_view text = text_of(string);
      add(names, text, std::ranges::all_of(text, is_visible));
    };
    if (name.type == GEN_DNS) take(out_.dns, name.d.dNSName);
    if (name.type == GEN_URI) take(out_.uris, name.d.uniformResourceIdentifier);
    if (name.type == GEN_EMAIL) take(out_.emails, name.d.rfc822Name);
  }

  void facts() {
    tm when{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate_), &when) == 1) {
      out_.not_after = timegm(&when);
    } else {
      out_.good = false;
    }
    const std::string_view serial = text_of(X509_get0_serialNumber(&certificate_));
    out_.serial = bounded(to_hex(as_bytes(serial)));
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    X509_digest(&certificate_, EVP_sha256(), digest.data(), &size);
    out_.sha256 = to_hex({digest.data(), size});
  }

  const X509& certificate_;
  ClientCertificate out_;
  std::size_t octets_ = 0;
};

}  // namespace

ClientCertificate read_certificate(const x509_st& certificate) { return Reader(certificate).read(); }

ClientCertificate read_certificate(const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate) return read_certificate(*certificate);
  ClientCertificate none;
  none.good = false;
  return none;
}

}  // namespace sluice::net
