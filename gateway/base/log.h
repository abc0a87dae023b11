// The two logs. Events (start, reload, a backend going down, errors) and access lines; both are JSON objects, one a
// line, handed to a bounded queue that a thread of its own empties: a log never blocks a worker, lines that do not fit
// are counted and dropped.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::log {

// One member of an event line: a name and its value as text, or as a number.
struct Field {
  Field(std::string_view called, std::string_view value) : name(called), text(value) {}
  Field(std::string_view called, const char* value) : name(called), text(value) {}
  Field(std::string_view called, const std::string& value) : name(called), text(value) {}
  Field(std::string_view called, std::int64_t value) : name(called), number(value), is_number(true) {}
  Field(std::string_view called, int value) : Field(called, static_cast<std::int64_t>(value)) {}
  Field(std::string_view called, unsigned value) : Field(called, static_cast<std::int64_t>(value)) {}
  Field(std::string_view called, std::uint64_t value) : Field(called, static_cast<std::int64_t>(value)) {}
  std::string_view name;
  std::string_view text;
  std::int64_t number = 0;
  bool is_number = false;
};

struct Settings {
  Level level = Level::info;
  std::string file = "stderr";    // events: "stdout", "stderr" or a path
  std::string access = "stdout";  // access lines: "stdout", "off" or a path
  std::size_t queue = 65536;      // lines that may wait, per log
};

// Opens both logs, replacing what was open. False when a file cannot be opened (`why` says which); what was open stays.
bool open(const Settings& settings, std::string& why);
// Closes and opens the files by name again (USR1, after logrotate). False when one cannot be opened: it goes on as it was.
bool reopen();
// Writes out what waits, at most `milliseconds` long, and stops the thread.
void close(int milliseconds = 2000);

void set_level(Level level);
Level level();
bool enabled(Level level);

// {"ts":"2026-11-23T00:00:00.000Z","level":"info","event":"...", fields...}. Values are cut at 1 KiB. Before open(): to
// stderr, synchronously. Events of one name are limited to 10 a second; the number left out is said on the next one.
void event(Level level, std::string_view name, std::initializer_list<Field> fields = {});

// {"ts":…,"level":"info","event":"audit","action":"revoke","by":"127.0.0.1", fields...}: what somebody did, and who. Never
// limited, and left out at level "off" only.
void audit(std::string_view action, std::string_view by, std::span<const Field> fields);

// One finished access line without newline, built by session/access_log.
bool access_enabled();
void access(std::string line);

std::uint64_t dropped();

// ISO 8601 in UTC with milliseconds.
std::string timestamp(std::int64_t milliseconds_since_1970);

}  // namespace sluice::log
