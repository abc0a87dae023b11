#include "event/file_watch.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "event/loop.h"
#include "support/run_until.h"

namespace sluice::event {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() {
    char name[] = "/tmp/sluice-watch-XXXXXX";
    folder_ = mkdtemp(name);
    write("config", "one");
  }
  ~Files() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  bool told(int times) {
    return run_until(loop_, [this, times] { return changes_ >= times; });
  }
  // Nothing is told for longer than a burst may settle.
  bool quiet() {
    const int before = changes_;
    bool over = false;
    Timer timer(loop_, [&over] { over = true; });
    timer.arm(std::chrono::milliseconds(300));
    return run_until(loop_, [&] { return over; }) && changes_ == before;
  }

  fs::path folder_;
  Loop loop_;
  int changes_ = 0;
  FileWatch watch_{loop_, [this] { ++changes_; }};
};

TEST_F(Files, TellThatOneWasWritten) {
  watch_.set({folder_ / "config"});
  write("config", "two");
  EXPECT_TRUE(told(1));
}

TEST_F(Files, TellThatOneWasReplaced) {
  watch_.set({folder_ / "config"});
  write("config.new", "two");
  EXPECT_TRUE(quiet()) << "a neighbour";
  fs::rename(folder_ / "config.new", folder_ / "config");
  EXPECT_TRUE(told(1));
}

TEST_F(Files, TellThatALinkMoved) {
  // Kubernetes: file -> ..data/file, ..data -> a folder; an update renames a fresh link over ..data.
  fs::create_directory(folder_ / "v1");
  fs::create_directory(folder_ / "v2");
  write("v1/secret", "one");
  write("v2/secret", "two");
  fs::create_symlink("v1", folder_ / "..data");
  fs::create_symlink("..data/secret", folder_ / "secret");
  watch_.set({folder_ / "secret"});
  fs::create_symlink("v2", folder_ / "..data_tmp");
  fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  EXPECT_TRUE(told(1));
}

TEST_F(Files, TellABurstOnce) {
  watch_.set({folder_ / "config"});
  for (int i = 0; i < 50; ++i) write("config", std::to_string(i));
  EXPECT_TRUE(told(1));
  EXPECT_TRUE(quiet());
  EXPECT_EQ(changes_, 1);
}

TEST_F(Files, ForgetTheFoldersOfTheSetBefore) {
  fs::create_directory(folder_ / "old");
  fs::create_directory(folder_ / "new");
  watch_.set({folder_ / "old" / "a"});
  watch_.set({folder_ / "new" / "a"});
  write("old/a", "x");
  EXPECT_TRUE(quiet());
  write("new/a", "x");
  EXPECT_TRUE(told(1));
}

TEST_F(Files, SkipFoldersThatDoNotExistAndTakeThemLater) {
  watch_.set({folder_ / "absent" / "a", folder_ / "config"});
  write("config", "two");
  EXPECT_TRUE(told(1));
  fs::create_directory(folder_ / "absent");
  EXPECT_TRUE(told(2)) << "the folder was made inside one that is watched";
  watch_.set({folder_ / "absent" / "a", folder_ / "config"});
  write("absent/a", "x");
  EXPECT_TRUE(told(3));
}

TEST_F(Files, FindAFolderAgainThatWasMadeAnew) {
  fs::create_directory(folder_ / "certs");
  watch_.set({folder_ / "certs" / "a"});
  fs::remove_all(folder_ / "certs");
  EXPECT_TRUE(told(1));
  fs::create_directory(folder_ / "certs");
  watch_.set({folder_ / "certs" / "a"});
  write("certs/a", "x");
  EXPECT_TRUE(told(2));
}

}  // namespace
}  // namespace sluice::event
