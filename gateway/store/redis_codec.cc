#include "store/redis_codec.h"

#include <hiredis/hiredis.h>
#include <string.h>

#include <algorithm>

#include "base/result.h"

namespace sluice::store {

// Later versions have other objects in other places, and replies of their own.
static_assert(HIREDIS_MAJOR == 0);

namespace {

using Type = RedisReply::Type;

// Where the object of a task goes: behind its siblings, or nowhere yet. An array grows by one when its next item is there, and
// then nobody points to the items before it any more.
RedisReply* place(const redisReadTask* task, Type type) {
  RedisReply* made = nullptr;
  if (task->parent != nullptr) {
    made = &static_cast<RedisReply*>(task->parent->obj)->items.emplace_back();
  } else {
    made = new RedisReply();
  }
  made->type = type;
  return made;
}

void* make_text(const redisReadTask* task, char* octets, std::size_t size) {
  const Type type = task->type == REDIS_REPLY_ERROR    ? Type::error
                    : task->type == REDIS_REPLY_STATUS ? Type::status
                                                       : Type::string;
  RedisReply* const made = place(task, type);
  made->text.assign(octets, size);
  return made;
}

// A null is an error to hiredis, which then frees the root.
void* make_array(const redisReadTask* task, int items) {
  return items > RedisReader::kMostItems ? nullptr : place(task, Type::array);
}

void* make_integer(const redisReadTask* task, long long value) {
  RedisReply* const made = place(task, Type::integer);
  made->integer = value;
  return made;
}

void* make_nil(const redisReadTask* task) { return place(task, Type::nil); }

void free_root(void* root) { delete static_cast<RedisReply*>(root); }

redisReplyObjectFunctions functions{make_text, make_array, make_integer, make_nil, free_root};

}  // namespace

bool RedisReply::refused_with(std::string_view word) const {
  return type == Type::error && text.starts_with(word) && (text.size() == word.size() || text[word.size()] == ' ');
}

std::string redis_command(std::span<const std::string> arguments) {
  std::vector<const char*> octets;
  std::vector<std::size_t> sizes;
  for (const std::string& one : arguments) {
    octets.push_back(one.data());
    sizes.push_back(one.size());
  }
  char* made = nullptr;
  const int size = redisFormatCommandArgv(&made, static_cast<int>(octets.size()), octets.data(), sizes.data());
  check(size > 0, "redisFormatCommandArgv");
  std::string out(made, static_cast<std::size_t>(size));
  ::explicit_bzero(made, static_cast<std::size_t>(size));
  redisFreeCommand(made);
  return out;
}

void RedisReader::Free::operator()(redisReader* reader) const { redisReaderFree(reader); }

RedisReader::RedisReader() : reader_(redisReaderCreateWithFunctions(&functions)) {
  check(reader_ != nullptr, "redisReaderCreate");
}

RedisReader::~RedisReader() = default;

bool RedisReader::feed(Bytes octets, std::vector<RedisReply>& replies) {
  // In parts, so that what is not whole is known before much more of it is copied.
  constexpr std::size_t kPart = 4096;
  while (!octets.empty()) {
    const Bytes part = octets.first(std::min(octets.size(), kPart));
    octets = octets.subspan(part.size());
    if (redisReaderFeed(reader_.get(), reinterpret_cast<const char*>(part.data()), part.size()) != REDIS_OK) return false;
    unfinished_ += part.size();
    for (;;) {
      void* root = nullptr;
      if (redisReaderGetReply(reader_.get(), &root) != REDIS_OK) return false;
      if (root == nullptr) break;
      const std::unique_ptr<RedisReply> reply(static_cast<RedisReply*>(root));
      replies.push_back(std::move(*reply));
      unfinished_ = reader_->len - reader_->pos;
    }
    if (unfinished_ > kMostOctets) return false;
  }
  return true;
}

}  // namespace sluice::store
