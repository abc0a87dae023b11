// The subcommands of the program. Each returns an exit code and prints for people; main.cc parses the command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/build.h"

namespace sluice::server {

int command_run(const std::string& config, const std::string& log_level, const Build& build);
int command_check(const std::string& config, bool dump);

struct DemoOptions {
  std::uint16_t port = 8443;
  std::uint16_t admin_port = 9901;
  std::string certificate_file = "sluice-demo.pem";
};
int command_demo(const DemoOptions& options, const Build& build);

struct TokenOptions {
  std::string algorithm = "HS256";
  std::string key_file;    // the secret (HS*) or a private key in PEM
  std::string key_id;
  std::string subject = "demo";
  std::string issuer;
  std::string audience;
  std::int64_t lifetime_seconds = 3600;
  std::vector<std::string> claims;  // NAME=VALUE; VALUE as JSON when it is valid JSON, else as text
};
int command_token(const TokenOptions& options);

struct HashKeyOptions {
  std::string name = "unnamed";
  bool from_input = false;  // a key that exists already stands on standard input; else one is made
};
// Prints the entry of an API key for the file that holds them, and a key that it made on standard error.
int command_hash_key(const HashKeyOptions& options);

// GET /readyz on the admin listener: 0 when it answers 200.
int command_healthcheck(const std::string& admin);

// Version and commit of the program, versions, its compiler and its libraries, several lines.
std::string version_text(const Build& build);

}  // namespace sluice::server
