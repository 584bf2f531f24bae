#include "iserv/broker/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/io.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/iserv/temporary_directory.h"

namespace splicehost::broker {
namespace {

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() noexcept override = default;

  std::string content() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  splicehost::testing::TemporaryDirectory directory_;
  std::string path_ = directory_.write("log", "");
  kj::AutoCloseFd file_{open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)};
  Log log_{file_.get()};
};

TEST_F(LogTest, HasALineForEachEvent) {
  log_("zygote 1 started");
  log_("it said: \"no\nnever\"");
  std::string lines = content();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2) << lines;
  EXPECT_NE(lines.find(" zygote 1 started\n"), lines.npos) << lines;
  EXPECT_NE(lines.find(" it said: \"no never\"\n"), lines.npos) << lines;
  // The time comes first: 2026-01-31 23:59:59.999.
  EXPECT_EQ(lines.find(" zygote"), 23u) << lines;
}

TEST_F(LogTest, CutsWhatIsVeryLong) {
  log_(std::string(100'000, 'x'));
  log_("next");
  EXPECT_LT(content().size(), 5000u);
  EXPECT_NE(content().find(" next\n"), std::string::npos);
}

TEST_F(LogTest, IsEmptiedWhenItIsTooLarge) {
  log_("small");
  log_.limit();
  EXPECT_NE(content(), "");
  std::filesystem::resize_file(path_, 2 << 20);
  log_.limit();
  EXPECT_EQ(content(), "");
  log_("and goes on");
  EXPECT_NE(content().find(" and goes on\n"), std::string::npos);
}

}  // namespace
}  // namespace splicehost::broker
