// Checker: the files that a configuration names.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "config/check.h"
#include "config/read_file.h"

namespace sluice::config {
namespace {

constexpr std::size_t kLargest = 1024 * 1024;  // of a certificate, key or set of keys
constexpr std::size_t kLargestKeyFile = 8 * kLargest;  // of API keys: some 50,000

bool is_private(FileKind kind) {
  return kind == FileKind::private_key || kind == FileKind::secret || kind == FileKind::token ||
         kind == FileKind::password;
}

std::string without_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

std::string Checker::resolve(const Text& path) const {
  return path.text.starts_with('/') ? path.text : reporter_.folder(path.place.file) + path.text;
}

std::string Checker::read(const Section& section, std::string_view key, FileKind kind) {
  if (!section.good(key)) return {};
  const Text named{section.text(key), section.place(key)};
  const std::string path = resolve(named);
  for (auto* list : {&settings_.files, &settings_.watched}) {
    if (std::find(list->begin(), list->end(), path) == list->end()) list->push_back(path);
  }
  FileContent file = read_file(path, kind == FileKind::api_keys ? kLargestKeyFile : kLargest);
  if (!file.error.empty()) {
    error(named.place, fmt::format("'{}': cannot read {}: {}", key, shown(path), file.error));
    return {};
  }
  // The digests in a file of API keys are no secret, but whoever writes one there has a key.
  if ((is_private(kind) || kind == FileKind::api_keys) && (file.mode & S_IWOTH) != 0) {
    error(named.place, fmt::format("{} can be written by everyone", shown(path)),
          fmt::format("chmod 600 {}", path));
  } else if (is_private(kind) && (file.mode & (S_IRGRP | S_IROTH)) != 0) {
    reporter_.warning(named.place, fmt::format("{} can be read by its group or by everyone", shown(path)),
                      fmt::format("chmod 600 {}", path));
  }
  if (kind == FileKind::secret && file.content.ends_with('\n')) file.content.pop_back();
  if (kind == FileKind::token || kind == FileKind::password) file.content = without_newline(std::move(file.content));
  return looks_right(named, kind, file.content) ? std::move(file.content) : std::string();
}

bool Checker::looks_right(const Text& path, FileKind kind, const std::string& content) {
  const auto holds = [&content](std::string_view text) { return content.find(text) != std::string::npos; };
  const bool has_key = holds("PRIVATE KEY-----");
  const auto refuse = [&](const char* what, std::string help = {}) {
    error(path.place, fmt::format("{} {}", shown(path.text), what), std::move(help));
    return false;
  };
  if (content.empty()) return refuse("is empty");
  switch (kind) {
    case FileKind::certificate:
      if (!holds("-----BEGIN CERTIFICATE-----") || !holds("-----END CERTIFICATE-----")) {
        return refuse("holds no certificate in PEM",
                      has_key ? "it holds a private key: are the two files swapped?" : "");
      }
      return true;
    case FileKind::crl:
      if (!holds("-----BEGIN X509 CRL-----") || !holds("-----END X509 CRL-----")) {
        return refuse("holds no list of revoked certificates in PEM", "openssl crl -inform DER -in LIST -out PEM-LIST");
      }
      return true;
    case FileKind::private_key:
      if (holds("BEGIN ENCRYPTED PRIVATE KEY") || holds("Proc-Type: 4,ENCRYPTED")) {
        return refuse("is protected by a passphrase", "openssl pkey -in KEY -out PLAIN-KEY");
      }
      if (!has_key || !holds("-----BEGIN ")) {
        return refuse("holds no private key in PEM",
                      holds("BEGIN CERTIFICATE") ? "it holds a certificate: are the two files swapped?" : "");
      }
      return true;
    case FileKind::public_key:
      if (has_key) return refuse("holds a private key", "openssl pkey -in KEY -pubout -out PUBLIC-KEY");
      if (!holds("PUBLIC KEY-----")) {
        return refuse("holds no public key in PEM",
                      holds("BEGIN CERTIFICATE") ? "openssl x509 -in CERT -pubkey -noout > PUBLIC-KEY" : "");
      }
      return true;
    case FileKind::secret:
      if (content.size() < 32) {
        return refuse("is shorter than 32 octets", "openssl rand -hex 32 > SECRET");
      }
      return true;
    case FileKind::token:
      for (const char c : content) {
        if (c <= 0x20 || c >= 0x7F) return refuse("must hold one line of visible ASCII");
      }
      if (content.size() < 16) return refuse("is shorter than 16 octets", "openssl rand -hex 32 > TOKEN");
      return true;
    case FileKind::password: return true;  // what is good enough is its server's matter
    case FileKind::jwks: return true;  // read as JSON by check_auth.cc
    case FileKind::api_keys: return true;  // read by key_file.cc
    case FileKind::targets: return true;  // read line by line by check_target.cc
  }
  return true;
}

}  // namespace sluice::config
