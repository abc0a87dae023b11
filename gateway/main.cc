// Command line, then one of the commands. Nothing else.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "server/commands.h"
#include "server/server.h"

int main(int argc, char** argv) {
  using namespace sluice::server;
  const Build build{SLUICE_VERSION, revision()};
  CLI::App app{"Sluice, a WebSocket gateway"};
  app.require_subcommand(1);
  app.set_version_flag("-V,--version", [&] { return version_text(build); });
  int code = kExitOk;

  std::string config = "/etc/sluice/sluice.toml";
  std::string level;
  CLI::App* run = app.add_subcommand("run", "Serve until a signal ends it");
  run->add_option("-c,--config", config, "Configuration file")->capture_default_str();
  run->add_option("--log-level", level, "Overrides log.level")->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  run->callback([&] { code = command_run(config, level, build); });

  bool dump = false;
  CLI::App* check = app.add_subcommand("check", "Check a configuration and say every fault in it");
  check->add_option("-c,--config,file", config, "Configuration file")->capture_default_str();
  check->add_flag("--dump", dump, "Print what is in force, secrets masked");
  check->callback([&] { code = command_check(config, dump); });

  DemoOptions demo_options;
  CLI::App* demo = app.add_subcommand("demo", "A gateway with backends of its own, to try things on");
  demo->add_option("--port", demo_options.port, "TLS port")->capture_default_str();
  demo->add_option("--admin-port", demo_options.admin_port, "Admin port")->capture_default_str();
  demo->add_option("--certificate", demo_options.certificate_file, "Where to write the certificate")->capture_default_str();
  demo->callback([&] { code = command_demo(demo_options, build); });

  TokenOptions token_options;
  CLI::App* token = app.add_subcommand("token", "Mint a test token");
  token->add_option("--key", token_options.key_file, "Secret (HS*) or private key in PEM")->required();
  token->add_option("--alg", token_options.algorithm, "JWS algorithm")->capture_default_str();
  token->add_option("--kid", token_options.key_id, "Key id for the header");
  token->add_option("--sub", token_options.subject, "Subject")->capture_default_str();
  token->add_option("--iss", token_options.issuer, "Issuer");
  token->add_option("--aud", token_options.audience, "Audience");
  token->add_option("--ttl", token_options.lifetime_seconds, "Seconds until it expires")->capture_default_str();
  token->add_option("--claim", token_options.claims, "Further claim, NAME=VALUE; may be repeated");
  token->callback([&] { code = command_token(token_options); });

  HashKeyOptions hash_key_options;
  CLI::App* hash_key = app.add_subcommand("hash-key", "Make an API key and its entry for the file of keys");
  hash_key->add_option("--name", hash_key_options.name, "Who will hold it: the subject of their connections")->capture_default_str();
  hash_key->add_flag("--stdin", hash_key_options.from_input, "Take a key that exists already from standard input");
  hash_key->callback([&] { code = command_hash_key(hash_key_options); });

  std::string admin = "127.0.0.1:9901";
  CLI::App* healthcheck = app.add_subcommand("healthcheck", "Ask a running gateway whether it is ready");
  healthcheck->add_option("--admin", admin, "Address of its admin listener")->capture_default_str();
  healthcheck->callback([&] { code = command_healthcheck(admin); });

  CLI::App* versions = app.add_subcommand("version", "Versions of the program and its libraries");
  versions->callback([&] { std::fputs(version_text(build).c_str(), stdout); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitConfig;
  }
  return code;
}
