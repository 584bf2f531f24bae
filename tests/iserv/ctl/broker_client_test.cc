#include "iserv/ctl/broker_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "iserv/ctl/temporary_directory.h"

namespace splicehost::ctl {
namespace {

using std::chrono::milliseconds;
using Request = schema::ToBroker::Reader;
using Answer = schema::FromBroker::Builder;

// Clients, and a broker that is a thread of this process.
class BrokerClientTest : public testing::Test {
 protected:
  ~BrokerClientTest() noexcept override {
    if (thread_.joinable()) thread_.join();
  }

  std::string path() const { return directory_.path() + "/socket"; }

  kj::AutoCloseFd listenThere(int backlog = 8) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    kj::AutoCloseFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd.get(), backlog), 0);
    return fd;
  }

  // Answers one client until that hangs up, or `answer` says no.
  void serve(std::function<bool(Request, Answer)> answer) {
    listener_ = listenThere();
    thread_ = std::thread([listener = listener_.get(), answer] {
      PacketSocket client(kj::AutoCloseFd(accept(listener, nullptr, nullptr)));
      for (;;) {
        auto packet = client.receive<schema::ToBroker>();
        if (!packet || !*packet) return;
        capnp::MallocMessageBuilder message;
        auto request = (*packet)->root<schema::ToBroker>();
        if (!answer(request, message.initRoot<schema::FromBroker>())) return;
        EXPECT_TRUE(client.send(message));
      }
    });
  }

  Result<std::optional<BrokerClient>> connect(milliseconds patience = BrokerClient::kPatience) {
    return BrokerClient::connect(path(), patience);
  }
  std::string complaint(milliseconds patience = BrokerClient::kPatience) {
    auto client = connect(patience);
    return client ? (*client ? "connected" : "none") : client.error().message;
  }
  std::string inThisProcess() const {
    std::string id = std::to_string(getpid());
    return "the broker (process " + id + ") does not ";
  }
  std::string adviceToKill() const { return "; to end it: kill -9 " + std::to_string(getpid()); }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  kj::AutoCloseFd listener_;
  std::thread thread_;
};

TEST_F(BrokerClientTest, FindsNone) {
  EXPECT_EQ(complaint(), "none");
  { kj::AutoCloseFd dead = listenThere(); }
  EXPECT_EQ(complaint(), "none");
}

TEST_F(BrokerClientTest, GetsAStatus) {
  serve([](Request request, Answer answer) {
    if (request.isHello()) {
      auto hello = request.getHello();
      EXPECT_EQ(hello.getProtocolVersion(), schema::BROKER_PROTOCOL_VERSION);
      EXPECT_EQ(hello.getProcessId(), static_cast<uint32_t>(getpid()));
      EXPECT_FALSE(hello.hasInterpreter());
      answer.setReady();
    } else {
      EXPECT_TRUE(request.isStatus());
      answer.initStatus().setAttaches(42);
    }
    return true;
  });
  auto client = connect();
  ASSERT_TRUE(client && *client);
  for (int i = 0; i < 2; ++i) {
    Result<BrokerStatus> status = (*client)->status();
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ((**status).getAttaches(), 42u);
  }
}

TEST_F(BrokerClientTest, CountsOneThatHangsUpAsNone) {
  serve([](Request, Answer) { return false; });
  EXPECT_EQ(complaint(), "none");
}

TEST_F(BrokerClientTest, IsRefused) {
  serve([](Request, Answer answer) {
    answer.setRefused("too busy");
    return true;
  });
  EXPECT_EQ(complaint(), "the broker refuses: too busy");
}

TEST_F(BrokerClientTest, GetsAWrongAnswer) {
  serve([](Request, Answer answer) {
    answer.initAttached().setSession(1);
    return true;
  });
  EXPECT_EQ(complaint(), "the broker does not answer as it should");
}

TEST_F(BrokerClientTest, DoesNotWaitForever) {
  kj::AutoCloseFd hung = listenThere(0);
  EXPECT_EQ(complaint(milliseconds(50)), inThisProcess() + "answer within 50 ms" + adviceToKill());
  // That connection has been in the queue, which is full now.
  EXPECT_EQ(complaint(milliseconds(50)), "the broker does not accept a connection within 50 ms");
}

TEST_F(BrokerClientTest, WaitsUntilTheProcessIsGone) {
  serve([](Request request, Answer answer) {
    if (request.isStop()) return false;
    answer.setReady();
    return true;
  });
  auto client = connect(milliseconds(50));
  ASSERT_TRUE(client && *client);
  Status stopped = (*client)->stop();
  // It is this one.
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, inThisProcess() + "end, though it has hung up, within 50 ms" + adviceToKill());
}

TEST_F(BrokerClientTest, StopsAProcess) {
  pid_t broker = fork();
  if (broker == 0) {
    serve([](Request request, Answer answer) {
      if (request.isStop()) return false;
      answer.setReady();
      return true;
    });
    thread_.join();
    usleep(50'000);
    _exit(0);
  }
  auto client = connect();
  while (client && !*client) client = connect();
  ASSERT_TRUE(client) << client.error().message;
  Status stopped = (*client)->stop();
  EXPECT_TRUE(stopped) << stopped.error().message;
  EXPECT_EQ(waitpid(broker, nullptr, WNOHANG), broker);
}

}  // namespace
}  // namespace splicehost::ctl
