#include "server/revocation_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::server {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using policy::Revocation;

Revocation revocation(const std::string& id, const std::string& value, Revocation::Kind kind = Revocation::Kind::sub) {
  Revocation out;
  out.id = id;
  out.kind = kind;
  out.value = value;
  out.made = WallTime(1'800'000'000'123ms);
  out.expires = WallTime(1'800'000'600'123ms);
  return out;
}

class RevocationFileTest : public ::testing::Test {
 protected:
  RevocationFileTest() {
    std::string pattern = (fs::temp_directory_path() / "sluice-revocations-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    path_ = (folder_ / "file").string();
  }
  ~RevocationFileTest() override { fs::remove_all(folder_); }

  std::string content() const {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  void put(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }
  // What a start would find: the values by order of ids, or why not.
  std::string found(std::size_t* torn = nullptr) const {
    RevocationFile file;
    std::vector<Revocation> held;
    std::string why;
    if (!file.open(path_, held, why)) return why;
    if (torn) *torn = file.torn();
    std::string all;
    for (const Revocation& one : held) all += one.value + " ";
    return all;
  }
  // One that is ready to be added to.
  std::unique_ptr<RevocationFile> fresh(DiskCalls calls = {}) const {
    auto file = std::make_unique<RevocationFile>(std::move(calls));
    std::vector<Revocation> held;
    std::string why;
    EXPECT_TRUE(file->open(path_, held, why)) << why;
    EXPECT_TRUE(file->rewrite({}));
    return file;
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(RevocationFileTest, HoldsEveryPartOfARevocation) {
  Revocation what = revocation("r1", "va\"lue\n\xc3\xa9", Revocation::Kind::claim);
  what.name = "role";
  what.auth = "users";
  what.issuer = "https://a/";
  what.allow_newer = true;
  what.code = 4409;
  what.reason = "bye";
  {
    auto file = fresh();
    ASSERT_TRUE(file->add(what));
  }
  RevocationFile file;
  std::vector<Revocation> held;
  std::string why;
  ASSERT_TRUE(file.open(path_, held, why)) << why;
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].id, what.id);
  EXPECT_EQ(held[0].kind, what.kind);
  EXPECT_EQ(held[0].name, what.name);
  EXPECT_EQ(held[0].value, what.value);
  EXPECT_EQ(held[0].auth, what.auth);
  EXPECT_EQ(held[0].issuer, what.issuer);
  EXPECT_EQ(held[0].allow_newer, what.allow_newer);
  EXPECT_EQ(held[0].made, what.made);
  EXPECT_EQ(held[0].expires, what.expires);
  EXPECT_EQ(held[0].code, what.code);
  EXPECT_EQ(held[0].reason, what.reason);
  EXPECT_EQ(file.torn(), 0u);
}

TEST_F(RevocationFileTest, TheNewestLineOfAnIdCounts) {
  {
    auto file = fresh();
    ASSERT_TRUE(file->add(revocation("a", "one")));
    ASSERT_TRUE(file->add(revocation("b", "two")));
    ASSERT_TRUE(file->add(revocation("a", "three")));
    ASSERT_TRUE(file->add(revocation("c", "four")));
    ASSERT_TRUE(file->remove("b"));
    ASSERT_TRUE(file->remove("unknown"));
  }
  EXPECT_EQ(found(), "three four ");
}

TEST_F(RevocationFileTest, IsForItsOwnerOnly) {
  fresh();
  struct stat file{};
  ASSERT_EQ(::stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
}

TEST_F(RevocationFileTest, IsWrittenAnewWhenItHasGrown) {
  auto file = fresh();
  const Revocation one = revocation("a", "one");
  for (int i = 0; i < 66; ++i) {
    EXPECT_FALSE(file->worn(1)) << i;
    ASSERT_TRUE(file->add(one));
  }
  ASSERT_TRUE(file->add(one));
  EXPECT_TRUE(file->worn(1));
  EXPECT_FALSE(file->worn(2));
  const std::size_t before = content().size();
  ASSERT_TRUE(file->rewrite({&one}));
  EXPECT_FALSE(file->worn(1));
  EXPECT_LT(content().size(), before / 20);
  ASSERT_TRUE(file->add(revocation("b", "two")));
  file.reset();
  EXPECT_EQ(found(), "one two ");
  EXPECT_FALSE(fs::exists(path_ + ".new"));
}

TEST_F(RevocationFileTest, ManyAreReadAndWrittenInPieces) {
  std::vector<Revocation> all;
  for (int i = 0; i < 3000; ++i) all.push_back(revocation("id" + std::to_string(i), std::string(100, 'x')));
  std::vector<const Revocation*> list;
  for (const Revocation& one : all) list.push_back(&one);
  ASSERT_TRUE(fresh()->rewrite(list));
  RevocationFile file;
  std::vector<Revocation> held;
  std::string why;
  ASSERT_TRUE(file.open(path_, held, why)) << why;
  EXPECT_EQ(held.size(), 3000u);
}

TEST_F(RevocationFileTest, ALastLineThatIsNotWholeIsLeftOut) {
  {
    auto file = fresh();
    ASSERT_TRUE(file->add(revocation("a", "one")));
    ASSERT_TRUE(file->add(revocation("b", "two")));
  }
  const std::string whole = content();
  const std::size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t cut = last; cut < whole.size(); ++cut) {
    put(whole.substr(0, cut));
    std::size_t torn = 99;
    EXPECT_EQ(found(&torn), "one ") << cut;
    EXPECT_EQ(torn, cut - last);
  }
  // Its octets may be of the right number and not have come.
  std::string zeros = whole;
  for (std::size_t i = last + 5; i < zeros.size(); ++i) zeros[i] = '\0';
  put(zeros);
  EXPECT_EQ(found(), "one ");
  std::string wrong = whole;
  wrong[last + 30] ^= 1;
  put(wrong);
  std::size_t torn = 0;
  EXPECT_EQ(found(&torn), "one ");
  EXPECT_EQ(torn, whole.size() - last);
}

TEST_F(RevocationFileTest, AfterATornLineNothingIsAddedUntilItIsRewritten) {
  {
    auto file = fresh();
    ASSERT_TRUE(file->add(revocation("a", "one")));
  }
  put(content() + "0123");
  {
    RevocationFile file;
    std::vector<Revocation> held;
    std::string why;
    ASSERT_TRUE(file.open(path_, held, why));
    EXPECT_TRUE(file.worn(1));
    EXPECT_FALSE(file.add(revocation("b", "two")));
    ASSERT_TRUE(file.rewrite({&held[0]}));
    EXPECT_TRUE(file.add(revocation("b", "two")));
  }
  EXPECT_EQ(found(), "one two ");
}

TEST_F(RevocationFileTest, AnyOtherDamageIsSaid) {
  {
    auto file = fresh();
    ASSERT_TRUE(file->add(revocation("a", "one")));
    ASSERT_TRUE(file->add(revocation("b", "two")));
  }
  const std::string whole = content();
  const std::size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t at = 0; at + 1 < last; ++at) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    put(bad);
    EXPECT_NE(found().find("damaged at octet "), std::string::npos) << at;
  }
  for (const std::string& bad :
       {std::string("not ours\n"), std::string("sluice-revoc"), std::string("sluice-revocations 2\n"), whole + whole,
        whole.substr(0, last) + "\n" + whole.substr(last), whole.substr(21), whole + std::string(100'000, 'x')}) {
    put(bad);
    const std::string why = found();
    EXPECT_NE(why.find(path_ + ": damaged at octet "), std::string::npos) << why;
    EXPECT_NE(why.find("move it away"), std::string::npos);
  }
  EXPECT_EQ(content().size(), whole.size() + 100'000) << "it stays as it is found";
}

TEST_F(RevocationFileTest, MayBeEmptyAndMustBeAFile) {
  put("");
  EXPECT_EQ(found(), "");
  path_ = folder_.string();
  EXPECT_NE(found(), "");
  path_ = (folder_ / "no" / "such").string();
  EXPECT_NE(found().find("No such file"), std::string::npos);
  path_ = (folder_ / "pipe").string();
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(found().find("no regular file"), std::string::npos);
}

TEST_F(RevocationFileTest, BelongsToOneProcess) {
  auto file = fresh();
  EXPECT_NE(found().find("another process uses it"), std::string::npos);
  ASSERT_TRUE(file->add(revocation("a", "one")));
  file.reset();
  EXPECT_EQ(found(), "one ");
}

// Every call on the way fails once: what was said to be stored is there afterwards, and it goes on.
TEST_F(RevocationFileTest, SurvivesEveryFailureOfTheDisk) {
  const Revocation a = revocation("a", "one");
  const Revocation b = revocation("b", "two");
  for (int failing = 0;; ++failing) {
    fs::remove(path_);
    int call = -1;  // counted once it is armed
    bool armed = false;
    const auto fails = [&] { return armed && ++call == failing; };
    DiskCalls calls;
    calls.write = [&](int fd, const void* data, std::size_t size) -> ssize_t {
      if (!fails()) return ::write(fd, data, size);
      // The disk is full in the middle of it.
      [[maybe_unused]] const ssize_t some = ::write(fd, data, size / 2);
      errno = ENOSPC;
      return -1;
    };
    calls.sync = [&](int fd) { return fails() ? (errno = EIO, -1) : ::fsync(fd); };
    calls.rename = [&](const char* from, const char* to) { return fails() ? (errno = EROFS, -1) : ::rename(from, to); };
    bool stored = false;
    bool twice = false;
    {
      auto file = fresh(calls);
      ASSERT_TRUE(file->add(a));
      armed = true;
      stored = file->add(b);
      if (stored) stored = file->rewrite({&a, &b});
      armed = false;
      if (!stored) {
        EXPECT_NE(file->error(), 0);
        EXPECT_TRUE(file->behind());
        EXPECT_FALSE(file->add(b)) << "not before it is whole again";
        twice = true;
      }
    }
    const std::string after = found();
    EXPECT_TRUE(after == "one two " || (twice && after == "one ")) << failing << ": " << after;
    EXPECT_FALSE(fs::exists(path_ + ".new")) << failing;
    if (!twice) {
      EXPECT_EQ(failing, 6) << "write, sync; write, sync, rename, sync of the folder";
      break;
    }
  }
}

TEST_F(RevocationFileTest, AHalfWrittenLineIsTakenBack) {
  bool full = false;
  DiskCalls calls;
  calls.write = [&](int fd, const void* data, std::size_t size) -> ssize_t {
    if (!full) return ::write(fd, data, std::min<std::size_t>(size, 7));  // short writes are gone on with
    [[maybe_unused]] const ssize_t some = ::write(fd, data, size / 2);
    errno = ENOSPC;
    return -1;
  };
  const Revocation a = revocation("a", "one");
  {
    auto file = fresh(calls);
    ASSERT_TRUE(file->add(a));
    const std::string before = content();
    full = true;
    EXPECT_FALSE(file->add(revocation("b", "two")));
    EXPECT_EQ(file->error(), ENOSPC);
    EXPECT_EQ(content(), before);
    EXPECT_FALSE(file->rewrite({&a}));
    EXPECT_EQ(content(), before);
    full = false;
    const Revocation b = revocation("b", "two");
    EXPECT_TRUE(file->rewrite({&a, &b}));
    EXPECT_FALSE(file->behind());
  }
  EXPECT_EQ(found(), "one two ");
}

TEST_F(RevocationFileTest, WhatCannotBeTakenBackIsATornLine) {
  bool full = false;
  DiskCalls calls;
  calls.write = [&](int fd, const void* data, std::size_t size) -> ssize_t {
    if (!full) return ::write(fd, data, size);
    [[maybe_unused]] const ssize_t some = ::write(fd, data, size / 2);
    errno = ENOSPC;
    return -1;
  };
  calls.truncate = [](int, off_t) { return -1; };
  {
    auto file = fresh(calls);
    ASSERT_TRUE(file->add(revocation("a", "one")));
    full = true;
    EXPECT_FALSE(file->add(revocation("b", "two")));
    full = false;
    EXPECT_FALSE(file->add(revocation("c", "three"))) << "it would stand behind half a line";
  }
  std::size_t torn = 0;
  EXPECT_EQ(found(&torn), "one ");
  EXPECT_GT(torn, 0u);
}

}  // namespace
}  // namespace sluice::server
