// bench_auth: what the check of a token costs a worker, beside what OpenSSL needs for its signature alone.
//
//   bench_auth [--benchmark_...]
//
// "check" is all that a handshake does: find the carrier, split, parse, verify, compare claims. "known" is the same of a token that
// is remembered. "bare" is EVP_DigestVerify of the same octets with a key and a context that lie ready. All take turns in
// one run; the table at the end has their medians and the bars.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <map>
#include <memory>

#include "base/result.h"
#include "net/crypto_owner.h"
#include "policy/authenticator.h"
#include "support/keys.h"

namespace {

using namespace sluice;
using net::JwsAlgorithm;

constexpr double kMostKnown = 5.0;  // µs
constexpr double kMostRatio = 1.2;  // of a check to its bare signature

WallTime now() { return WallTime(std::chrono::seconds(1'800'000'000)); }

// A token with the claims of a provider's access token, the rules that it passes, and a request that brings it.
class Subject {
 public:
  Subject(JwsAlgorithm algorithm, std::string_view private_key, const std::string& public_key, bool remembers) : algorithm_(algorithm) {
    std::string why;
    settings_.from = {policy::Carrier{}};
    settings_.forward = {{"sub", "X-User-Id"}};
    settings_.jwt.algorithms = {algorithm};
    settings_.jwt.issuer = "https://id.example.com/";
    settings_.jwt.audience = {"chat"};
    if (net::is_hmac(algorithm)) {
      settings_.jwt.secret = public_key;
    } else {
      settings_.jwt.public_key = public_key;
    }
    jwt_ = policy::Jwt::make(context_, settings_.jwt, why);
    const auto token = policy::mint(context_, algorithm, private_key, "", R"({"iss":"https://id.example.com/","aud":"chat",)"
                                    R"("sub":"248289761001","exp":1800003600,"iat":1800000000,"jti":"f2f9a5a2-6ad1-4e6d-9d8f-8d6c3a1f0b57",)"
                                    R"("scope":"openid profile chat"})", why);
    check(jwt_ && token, "a token of our own cannot be made");
    field_ = "Bearer " + *token;
    head_.fields.push_back({"Authorization", field_});
    request_.head = &head_;
    request_.kind = http::Request::Kind::websocket;
    authenticator_ = std::make_unique<policy::Authenticator>(
        std::vector<policy::Method>{{.settings = &settings_, .jwt = jwt_.get(), .cache = remembers ? &cache_ : nullptr}});
  }

  bool passes() { return authenticator_->check(request_, {}, now()).has_value(); }

  // Signed text and signature in the form that OpenSSL takes.
  std::pair<std::string, std::vector<std::uint8_t>> parts(EVP_PKEY* key) const {
    const std::string token = field_.substr(7);
    const std::string text = token.substr(0, token.rfind('.'));
    const std::unique_ptr<EVP_MD_CTX, net::Freer<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    std::vector<std::uint8_t> signature(1024);
    std::size_t size = signature.size();
    check(EVP_DigestSignInit(context.get(), nullptr, algorithm_ == JwsAlgorithm::eddsa ? nullptr : EVP_sha256(), nullptr, key) == 1 &&
              EVP_DigestSign(context.get(), signature.data(), &size, as_bytes(text).data(), text.size()) == 1,
          "OpenSSL cannot sign");
    signature.resize(size);
    return {text, signature};
  }

 private:
  JwsAlgorithm algorithm_;
  net::CryptoContext context_;
  policy::AuthSettings settings_;
  std::unique_ptr<policy::Jwt> jwt_;
  policy::TokenCache cache_;
  std::string field_;
  http::Head head_;
  http::Request request_;
  std::unique_ptr<policy::Authenticator> authenticator_;
};

void whole(benchmark::State& state, JwsAlgorithm algorithm, const test::KeyPair* key, bool remembers) {
  Subject subject(algorithm, key ? key->private_pem() : std::string(test::kSecret), key ? key->public_pem() : std::string(test::kSecret),
                  remembers);
  for (auto _ : state) {
    if (!subject.passes()) return state.SkipWithError("refused");
  }
}

void bare(benchmark::State& state, JwsAlgorithm algorithm, const test::KeyPair& key) {
  const Subject subject(algorithm, key.private_pem(), key.public_pem(), false);
  const auto [text, signature] = subject.parts(key.raw());
  // As the gateway's own: a library context that no other thread uses.
  const net::CryptoContext library;
  const std::string pem = key.public_pem();
  const std::unique_ptr<BIO, net::Freer<BIO_free>> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<EVP_PKEY, net::Freer<EVP_PKEY_free>> its(
      PEM_read_bio_PUBKEY_ex(bio.get(), nullptr, nullptr, nullptr, library.raw(), nullptr));
  const std::unique_ptr<EVP_MD_CTX, net::Freer<EVP_MD_CTX_free>> ready(EVP_MD_CTX_new());
  const std::unique_ptr<EVP_MD_CTX, net::Freer<EVP_MD_CTX_free>> used(EVP_MD_CTX_new());
  check(EVP_DigestVerifyInit_ex(ready.get(), nullptr, algorithm == JwsAlgorithm::eddsa ? nullptr : "SHA256", library.raw(), nullptr,
                                its.get(), nullptr) == 1,
        "OpenSSL cannot verify");
  for (auto _ : state) {
    EVP_MD_CTX_copy_ex(used.get(), ready.get());  // one context verifies once
    if (EVP_DigestVerify(used.get(), signature.data(), signature.size(), as_bytes(text).data(), text.size()) != 1) {
      return state.SkipWithError("refused");
    }
  }
}

// Keeps the medians; what it prints comes at the end.
class Medians final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) failed_ = true;
      if (run.aggregate_name == "median") medians_[run.run_name.function_name] = run.GetAdjustedCPUTime() / 1e3;
    }
  }
  bool print() const {
    fmt::print("\n## CPU µs of one check of a token, medians\n\n"
               "| | known | ≤ {:.0f} µs | check | bare signature | ratio | ≤ {:.1f} |\n|---|---:|---:|---:|---:|---:|---:|\n", kMostKnown, kMostRatio);
    for (const char* name : {"HS256", "ES256", "RS256", "EdDSA"}) {
      const double known = at(name, "known"), full = at(name, "check"), alone = at(name, "bare");
      const bool is_barred = std::string_view(name) == "ES256" || std::string_view(name) == "RS256";
      fmt::print("| {} | {:.2f} | {} | {:.2f} | {} | {} | {} |\n", name, known, known <= kMostKnown ? "met" : "MISSED", full,
                 alone == 0 ? "-" : fmt::format("{:.2f}", alone), alone == 0 ? "-" : fmt::format("{:.3f}", full / alone),
                 !is_barred ? "-" : full <= kMostRatio * alone ? "met" : "MISSED");
    }
    return !failed_;
  }

 private:
  double at(std::string_view algorithm, std::string_view what) const {
    const auto found = medians_.find(fmt::format("{}/{}", algorithm, what));
    return found == medians_.end() ? 0 : found->second;
  }
  std::map<std::string, double> medians_;
  bool failed_ = false;
};

void add(const std::string& name, JwsAlgorithm algorithm, const test::KeyPair* key) {
  benchmark::RegisterBenchmark((name + "/known").c_str(), whole, algorithm, key, true);
  benchmark::RegisterBenchmark((name + "/check").c_str(), whole, algorithm, key, false);
  if (key) {
    benchmark::RegisterBenchmark((name + "/bare").c_str(), [=](benchmark::State& state) { bare(state, algorithm, *key); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  // What the command line says comes later and wins.
  std::vector<std::string> words{argv[0], "--benchmark_repetitions=9", "--benchmark_min_time=0.1",
                                 "--benchmark_enable_random_interleaving=true"};
  words.insert(words.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;
  add("HS256", JwsAlgorithm::hs256, nullptr);
  add("ES256", JwsAlgorithm::es256, &test::p256_key());
  add("RS256", JwsAlgorithm::rs256, &test::rsa_key());
  add("EdDSA", JwsAlgorithm::eddsa, &test::ed25519_key());
  Medians medians;
  benchmark::RunSpecifiedBenchmarks(&medians);
  return medians.print() ? 0 : 1;
}
