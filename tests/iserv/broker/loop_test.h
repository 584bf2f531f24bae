// A test that is the broker, as far as it needs one: an event loop, and processes that belong to it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/io.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>

#include "iserv/broker/digests.h"
#include "iserv/broker/log.h"
#include "iserv/broker/processes.h"
#include "iserv/broker/zygote_tree.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost::broker::testing {

class LoopTest : public ::testing::Test {
 protected:
  LoopTest() {
    uv_loop_init(&loop_);
    processes_.emplace(loop_);
  }
  // Whatever was started has come to its end.
  ~LoopTest() noexcept override {
    EXPECT_TRUE(await([] { return waitpid(-1, nullptr, WNOHANG) < 0; })) << "something is still there";
    processes_.reset();
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0);
  }

  // Handles events until something is the case; false if it is not within a time that nothing here takes.
  bool await(const std::function<bool()>& condition) {
    Timer lookAgain(
        loop_, 10, [] {}, true);
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      uv_run(&loop_, UV_RUN_ONCE);
    }
    return true;
  }
  // Handles what comes within this time.
  void pass(std::chrono::milliseconds time) {
    auto end = std::chrono::steady_clock::now() + time;
    await([&] { return std::chrono::steady_clock::now() > end; });
  }

  // The interpreter of fake_zygote.cc. What it does otherwise than it should is in its name.
  static Interpreter fake(const std::string& name = "fake") {
    return {FAKE_ZYGOTE, name, {}, "1.2.3", schema::Way::VANILLA};
  }
  ZygoteTree::Parts parts(uint32_t spares = 0) { return {loop_, log_, *processes_, digests_, spares}; }

  std::string logged() const {
    std::ifstream file(logPath_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool hasLogged(const std::string& text) const { return logged().find(text) != std::string::npos; }

  splicehost::testing::TemporaryDirectory directory_;
  uv_loop_t loop_;
  std::optional<Processes> processes_;
  Digests digests_{loop_};

 private:
  std::string logPath_ = directory_.write("log", "");
  kj::AutoCloseFd logFile_{open(logPath_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)};
  Log log_{logFile_.get()};
};

}  // namespace splicehost::broker::testing
