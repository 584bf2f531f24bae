#include "iserv/remote/connect.h"

#include <gtest/gtest.h>

namespace splicehost::remote {
namespace {

TEST(Destinations, AreCommandsSocketsOrPorts) {
  auto command = parseDestination("ssh board splicehost-target");
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->kind, Destination::Kind::kCommand);
  EXPECT_EQ(command->command, "ssh board splicehost-target");
  auto path = parseDestination("unix:/run/splices");
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(path->path, "/run/splices");
  auto port = parseDestination("tcp:board.example:7641");
  ASSERT_TRUE(port.ok());
  EXPECT_EQ(port->host, "board.example");
  EXPECT_EQ(port->port, "7641");
  auto six = parseDestination("tcp:[::1]:7641");
  ASSERT_TRUE(six.ok());
  EXPECT_EQ(six->host, "::1");
}

TEST(Destinations, ThatAreNoneSayWhatWouldBe) {
  for (const char* text : {"tcp:7641", "tcp::7641", "tcp:host:", "tcp:host:http", "unix:splices", ""}) {
    EXPECT_FALSE(parseDestination(text).ok()) << text;
  }
  EXPECT_NE(parseDestination("tcp:host").error().message.find("tcp:HOST:PORT"), std::string::npos);
}

TEST(Loopback, IsKnownByAddress) {
  for (const char* host : {"127.0.0.1", "127.3.2.1", "::1", "localhost"}) EXPECT_TRUE(isLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "192.0.2.1", "::", "localhost.example", "128.0.0.1"}) {
    EXPECT_FALSE(isLoopback(host)) << host;
  }
}

TEST(Commands, TellHowTheyEnded) {
  auto destination = parseDestination("exit 3");
  auto connected = connectTo(*destination, std::chrono::seconds(1));
  ASSERT_TRUE(connected.ok());
  EXPECT_EQ(connected->command->ended(std::chrono::seconds(5)), "ended with exit status 3");
}

TEST(Commands, GoWithTheirOwner) {
  auto destination = parseDestination("sleep 60 & exec sleep 60");
  auto start = std::chrono::steady_clock::now();
  { auto connected = connectTo(*destination, std::chrono::seconds(1)); }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(6));
}

}  // namespace
}  // namespace splicehost::remote
