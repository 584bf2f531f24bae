#include "iserv/base/configuration.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include <filesystem>

#include "tests/iserv/environment.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

namespace fs = std::filesystem;

// A user who has set nothing.
class ConfigurationTest : public ::testing::Test {
 protected:
  ConfigurationTest() {
    environment_.unset("XDG_CONFIG_HOME");
    environment_.set("HOME", home_.path());
    for (const char* name : {"ISERV_SHARE", "ISERV_MEMORY", "ISERV_ZYGOTES", "ISERV_SPARES", "ISERV_IDLE"}) {
      environment_.unset(name);
    }
    fs::create_directories(home_.path() / ".config" / "splicehost");
  }

  std::string file() const { return home_.path() / ".config" / "splicehost" / "config"; }
  void writeFile(std::string_view text) { home_.write(".config/splicehost/config", text); }
  // What is wrong with a file of this text, without the file's path.
  std::string complaintAbout(std::string_view text) {
    writeFile(text);
    return complaint();
  }
  std::string complaint() {
    Result<Configuration> configuration = readConfiguration();
    if (configuration) return "";
    std::string message = configuration.error().message;
    return message.starts_with(file()) ? message.substr(file().size()) : message;
  }

  testing::TemporaryDirectory home_;
  testing::Environment environment_;
};

TEST_F(ConfigurationTest, HasDefaults) {
  Result<Configuration> configuration = readConfiguration();
  ASSERT_TRUE(configuration) << configuration.error().message;
  EXPECT_TRUE(configuration->share);
  EXPECT_EQ(configuration->zygotes, 24u);
  EXPECT_EQ(configuration->spares, 2u);
  EXPECT_EQ(configuration->idleSeconds, 900u);
  struct sysinfo machine;
  ASSERT_EQ(sysinfo(&machine), 0);
  uint64_t quarter = uint64_t{machine.totalram} * machine.mem_unit / 4;
  EXPECT_LE(configuration->memoryBytes, quarter);
  EXPECT_GT(configuration->memoryBytes + (1 << 20), quarter);
  for (const auto& setting : configuration->settings) EXPECT_EQ(setting.source, "default");
  EXPECT_EQ(configuration->settings[0].value, "on");
  EXPECT_EQ(configuration->settings[1].value, std::to_string(quarter >> 20) + "M");
}

TEST_F(ConfigurationTest, IsReadFromTheFile) {
  writeFile(
      "# all of them\n"
      "share=off\n"
      "\n"
      "  memory\t=  4G   # four\r\n"
      "zygotes = 1000\n"
      "spares = 0\n"
      "idle = 5");
  Result<Configuration> configuration = readConfiguration();
  ASSERT_TRUE(configuration) << configuration.error().message;
  EXPECT_FALSE(configuration->share);
  EXPECT_EQ(configuration->memoryBytes, uint64_t{4} << 30);
  EXPECT_EQ(configuration->zygotes, 1000u);
  EXPECT_EQ(configuration->spares, 0u);
  EXPECT_EQ(configuration->idleSeconds, 5u);
  EXPECT_EQ(configuration->settings[1].name, "memory");
  EXPECT_EQ(configuration->settings[1].value, "4G");
  EXPECT_EQ(configuration->settings[1].source, file() + ":4");
  EXPECT_EQ(configuration->settings[4].source, file() + ":7");
}

TEST_F(ConfigurationTest, PrefersTheEnvironment) {
  writeFile("share = off\nidle = 5\n");
  environment_.set("ISERV_SHARE", "on");
  environment_.set("ISERV_IDLE", "");
  environment_.set("ISERV_MEMORY", "12345678");
  Result<Configuration> configuration = readConfiguration();
  ASSERT_TRUE(configuration) << configuration.error().message;
  EXPECT_TRUE(configuration->share);
  EXPECT_EQ(configuration->settings[0].source, "ISERV_SHARE");
  EXPECT_EQ(configuration->memoryBytes, 12345678u);
  EXPECT_EQ(configuration->idleSeconds, 5u);
  EXPECT_EQ(configuration->settings[4].source, file() + ":2");
}

TEST_F(ConfigurationTest, SaysWhichLineIsWrong) {
  EXPECT_EQ(complaintAbout("\nshare = maybe\n"), ":2: share is 'maybe', but must be on or off");
  EXPECT_EQ(complaintAbout("share =\n"), ":1: share is '', but must be on or off");
  EXPECT_EQ(complaintAbout("idle 5\n"), ":1: 'idle 5' is not of the form name = value");
  EXPECT_EQ(complaintAbout("colour = red\n"),
            ":1: there is no setting 'colour'; there are share, memory, zygotes, spares, idle, via, architecture, "
            "root, exclude, max-file, variables, token-file, certificate and timeout");
  EXPECT_EQ(complaintAbout("idle = 5\nidle = 6\n"), ":2: idle is set already, in " + file() + ":1");
  EXPECT_EQ(complaintAbout("idle = 5\n"), "");
}

TEST_F(ConfigurationTest, SaysWhatWouldBeRight) {
  for (const char* value :
       {"0", "0K", "lots", "4T", "4g", "-1", "4.5G", "K", "1 G", "0x10", "18446744073709551616", "17179869184G"}) {
    EXPECT_EQ(complaintAbout("memory = " + std::string(value)),
              ":1: memory is '" + std::string(value) + "', but must be a number of bytes, or of K, M or G such as 4G");
  }
  for (const char* value : {"0", "1001", "-1", "4294967297"}) {
    EXPECT_EQ(complaintAbout("zygotes = " + std::string(value)),
              ":1: zygotes is '" + std::string(value) + "', but must be a number from 1 to 1000");
  }
  EXPECT_EQ(complaintAbout("spares = 17"), ":1: spares is '17', but must be a number from 0 to 16");
  EXPECT_EQ(complaintAbout("idle = 0"), ":1: idle is '0', but must be a number of seconds from 1 to 1000000");
}

TEST_F(ConfigurationTest, SaysWhichVariableIsWrong) {
  environment_.set("ISERV_SHARE", "no");
  EXPECT_EQ(complaint(), "ISERV_SHARE is 'no', but must be on or off");
}

TEST_F(ConfigurationTest, KnowsUnits) {
  for (auto [text, bytes] : {std::pair("1", uint64_t{1}), std::pair("3K", uint64_t{3} << 10),
                             std::pair("5M", uint64_t{5} << 20), std::pair("7G", uint64_t{7} << 30)}) {
    environment_.set("ISERV_MEMORY", text);
    Result<Configuration> configuration = readConfiguration();
    ASSERT_TRUE(configuration) << configuration.error().message;
    EXPECT_EQ(configuration->memoryBytes, bytes);
  }
}

TEST_F(ConfigurationTest, MayBeAbsent) {
  fs::remove_all(home_.path() / ".config");
  EXPECT_EQ(complaint(), "");
  home_.write(".config", "a file where a directory might be");
  EXPECT_EQ(complaint(), "");
  environment_.unset("HOME");
  EXPECT_EQ(configurationFile(), "");
  EXPECT_EQ(complaint(), "");
}

TEST_F(ConfigurationTest, ThatCannotBeReadIsAnError) {
  fs::create_directories(file());
  EXPECT_EQ(complaint(), ": Is a directory");
  fs::remove(file());
  ASSERT_EQ(symlink("/dev/zero", file().c_str()), 0);
  EXPECT_EQ(complaint(), " is larger than 65536 bytes");
}

TEST_F(ConfigurationTest, DoesNotWaitForAPipe) {
  ASSERT_EQ(mkfifo(file().c_str(), 0600), 0);
  EXPECT_EQ(complaint(), "");
}

TEST_F(ConfigurationTest, IsWhereXdgSays) {
  EXPECT_EQ(configurationFile(), file());
  environment_.set("XDG_CONFIG_HOME", "/somewhere");
  EXPECT_EQ(configurationFile(), "/somewhere/splicehost/config");
  environment_.set("XDG_CONFIG_HOME", "relative");
  EXPECT_EQ(configurationFile(), file());
}

}  // namespace
}  // namespace splicehost
