// What the tests of config/ share: a temporary folder and short ways to load a text.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "config/file.h"

namespace sluice::config {

inline const std::string kProject = SLUICE_PROJECT;  // its folder, with a slash at the end

inline std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-config-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string write(std::string_view name, std::string_view content, mode_t mode = 0600) const {
    const std::string file = path(name);
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary) << content;
    ::chmod(file.c_str(), mode);
    return file;
  }
  // A certificate, its key, a secret and a public key, as far as config/ looks at them.
  void write_credentials() const {
    write("server.crt", "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n", 0644);
    write("server.key", "-----BEGIN PRIVATE KEY-----\nMAo=\n-----END PRIVATE KEY-----\n");
    write("public.pem", "-----BEGIN PUBLIC KEY-----\nMAo=\n-----END PUBLIC KEY-----\n", 0644);
    write("hs256.secret", std::string(32, 's') + "\n");
    write("admin.token", std::string(32, 't') + "\n");
  }

 private:
  std::string path_;
};

inline std::string text_of(const Loaded& loaded) {
  std::string out;
  for (const Diagnostic& one : loaded.diagnostics) out += one.text();
  return out;
}

// Messages with their places, without source lines: "3:8: error: ...".
inline std::string brief(const Loaded& loaded) {
  std::string out;
  for (const Diagnostic& one : loaded.diagnostics) {
    out += std::to_string(one.line) + ":" + std::to_string(one.column) +
           (one.kind == Diagnostic::Kind::error ? ": error: " : ": warning: ") + one.message +
           (one.help.empty() ? "" : " | " + one.help) + "\n";
  }
  return out;
}

inline const char* kListener = "[[listener]]\nname = \"plain\"\nbind = \"127.0.0.1:8080\"\n";
inline const char* kRoute = "[[route]]\npath = \"/*\"\nbackend = \"app\"\n";
inline const char* kBackend = "[backend.app]\nservers = [\"ws://127.0.0.1:9000\"]\n";

// A whole configuration with `extra` behind it.
inline std::string around(std::string_view extra) {
  return std::string(kListener) + kRoute + kBackend + std::string(extra);
}

}  // namespace sluice::config
