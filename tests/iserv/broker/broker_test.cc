// The broker as its clients see it. The test is the client, and the interpreters are fake_zygote.cc.

#include <capnp/any.h>
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include "iserv/broker/load_trie.h"
#include "protocol/packet_socket.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost::broker {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

bool within(std::chrono::milliseconds time, const std::function<bool()>& condition) {
  auto deadline = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

// A session, from its client's end.
class Stream {
 public:
  explicit Stream(kj::AutoCloseFd fd) : fd_(kj::mv(fd)) {}

  std::string readLine() {
    std::string line;
    for (char next; read(fd_.get(), &next, 1) == 1 && next != '\n';) line += next;
    return line;
  }
  void tell(const std::string& command) {
    ASSERT_EQ(write(fd_.get(), command.data(), command.size()), ssize_t(command.size()));
  }

 private:
  kj::AutoCloseFd fd_;
};

class Client {
 public:
  explicit Client(const std::string& path) : socket_(connectTo(path)) {}

  PacketSocket& socket() { return socket_; }

  // The next message; nothing if the broker hangs up.
  std::optional<PacketSocket::Packet> receive() {
    auto packet = socket_.receive<schema::FromBroker>();
    EXPECT_TRUE(packet) << packet.error().message;
    return packet ? kj::mv(*packet) : std::nullopt;
  }

  // Names no interpreter.
  void greet(uint32_t version = schema::BROKER_PROTOCOL_VERSION) {
    capnp::MallocMessageBuilder message;
    message.initRoot<schema::ToBroker>().initHello().setProtocolVersion(version);
    ASSERT_TRUE(socket_.send(message));
  }

  // The nodes: the position of each one's parent, its id, and its operation.
  struct Node {
    uint32_t parent;
    NodeId id;
    Operation operation;
    std::vector<FileSignature> signatures;
  };
  std::vector<Node> nodes;

  // Names the fake interpreter.
  void greetAsFrontEnd() {
    capnp::MallocMessageBuilder message;
    auto hello = message.initRoot<schema::ToBroker>().initHello();
    hello.setProtocolVersion(schema::BROKER_PROTOCOL_VERSION);
    auto key = hello.initInterpreter();
    key.setProgram(toData(FAKE_ZYGOTE));
    key.setProgramName(toData("fake"));
    key.setGhcVersion("1.2.3");
    ASSERT_TRUE(socket_.send(message));
    auto answer = receive();
    ASSERT_TRUE(answer && answer->root<schema::FromBroker>().isTrie());
    std::vector<capnp::word> words(answer->root<schema::FromBroker>().getTrie() / sizeof(capnp::word));
    auto size = static_cast<ssize_t>(words.size() * sizeof(capnp::word));
    ASSERT_EQ(pread(answer->fds.at(0).get(), words.data(), static_cast<size_t>(size), 0), size);
    capnp::FlatArrayMessageReader reader({words.data(), words.size()});
    auto list = reader.getRoot<schema::Trie>().getNodes();
    nodes.resize(list.size());
    for (uint32_t i = 0; i < list.size(); ++i) {
      nodes[i].id = list[i].getId();
      nodes[i].operation = readOperation(list[i].getOperation());
      for (auto signature : list[i].getSignatures()) nodes[i].signatures.push_back(readSignature(signature));
      for (uint32_t child : list[i].getChildren()) nodes.at(child).parent = i;
    }
  }

  // The node after these operations, by their files' names; nothing if it is not there.
  std::optional<NodeId> find(const std::vector<std::string>& files) const {
    uint32_t at = 0;
    for (const std::string& file : files) {
      uint32_t next = 0;
      for (uint32_t i = 1; i < nodes.size(); ++i) {
        if (nodes[i].parent == at && nodes[i].operation.file == file) next = i;
      }
      if (next == 0) return std::nullopt;
      at = next;
    }
    return nodes.at(at).id;
  }

  // Asks for a session. Nothing if it is refused.
  std::optional<Stream> attach(NodeId node, const std::vector<std::string>& files, pid_t like = 0) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
    kj::AutoCloseFd ours(ends[0]), theirs(ends[1]);
    kj::AutoCloseFd directory(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    capnp::MallocMessageBuilder message;
    auto attach = message.initRoot<schema::ToBroker>().initAttach();
    attach.setNode(node);
    attach.setLike(static_cast<uint32_t>(like));
    auto list = attach.initFiles(static_cast<uint32_t>(files.size()));
    for (uint32_t i = 0; i < files.size(); ++i) list.set(i, toData(files[i]));
    int fds[] = {theirs.get(), directory.get()};
    EXPECT_TRUE(socket_.send(message, fds));
    theirs = nullptr;
    auto answer = receive();
    if (!answer || !answer->root<schema::FromBroker>().isAttached()) return std::nullopt;
    auto attached = answer->root<schema::FromBroker>().getAttached();
    session = static_cast<pid_t>(attached.getSession());
    zygote = static_cast<pid_t>(attached.getZygote());
    return Stream(kj::mv(ours));
  }
  pid_t session = 0;
  pid_t zygote = 0;  // that it is a fork of

  void report(NodeId node, const std::vector<Operation>& operations, const std::vector<std::string>& symbols = {}) {
    capnp::MallocMessageBuilder message;
    auto report = message.initRoot<schema::ToBroker>().initReport();
    report.setNode(node);
    auto list = report.initOperations(static_cast<uint32_t>(operations.size()));
    for (uint32_t i = 0; i < operations.size(); ++i) writeOperation(operations[i], list[i]);
    auto texts = report.initSymbols(static_cast<uint32_t>(symbols.size()));
    for (uint32_t i = 0; i < symbols.size(); ++i) texts.set(i, symbols[i]);
    ASSERT_TRUE(socket_.send(message));
  }

  // How the session has ended; nothing if the broker hangs up.
  std::optional<std::pair<int, int>> awaitEnd() {
    auto message = receive();
    if (!message || !message->root<schema::FromBroker>().isSessionEnded()) return std::nullopt;
    auto ended = message->root<schema::FromBroker>().getSessionEnded();
    return std::pair(ended.getStatus(), ended.getSignal());
  }

  PacketSocket::Packet status() {
    capnp::MallocMessageBuilder message;
    message.initRoot<schema::ToBroker>().setStatus();
    EXPECT_TRUE(socket_.send(message));
    return *receive();
  }

 private:
  static kj::AutoCloseFd connectTo(const std::string& path) {
    kj::AutoCloseFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << path;
    timeval patience = {10, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }

  PacketSocket socket_;
};

pid_t startBroker() {
  pid_t child = fork();
  if (child == 0) {
    execl(ISERVD, ISERVD, nullptr);
    _exit(127);
  }
  return child;
}

int exitStatus(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Operation load(const std::string& file) { return {schema::LoadKind::LOAD_ARCHIVE, file}; }
// The parent of a process; 0 if there is no such process.
pid_t parentOf(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (int parent; std::sscanf(line.c_str(), "PPid: %d", &parent) == 1) return parent;
  }
  return 0;
}

bool isBelow(pid_t process, pid_t ancestor) {
  while (process != 0 && process != ancestor) process = parentOf(process);
  return process != 0;
}

const Operation kInit{schema::LoadKind::INIT_LINKER, ""};
const Operation kResolve{schema::LoadKind::RESOLVE_OBJS, ""};

class BrokerTest : public ::testing::Test {
 protected:
  BrokerTest() {
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);
    setenv("XDG_CONFIG_HOME", directory_.path().c_str(), 1);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  }

  void TearDown() override {
    if (!runtimeFiles(".socket").empty()) stop();
    // The broker and all that it started have become this process's children.
    EXPECT_TRUE(within(5s, [] {
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      return waitpid(-1, nullptr, WNOHANG) < 0;
    })) << "something is still there";
    unsetenv("ISERV_ZYGOTES");
    if (HasFailure()) {
      for (const std::string& log : runtimeFiles(".log")) std::system(("cat " + log + " >&2").c_str());
    }
  }

  void start() { ASSERT_EQ(exitStatus(startBroker()), 0); }
  void stop() {
    Client client = connect();
    client.greet();
    client.receive();
    capnp::MallocMessageBuilder message;
    message.initRoot<schema::ToBroker>().setStop();
    ASSERT_TRUE(client.socket().send(message));
    EXPECT_FALSE(client.receive());
  }

  std::vector<std::string> runtimeFiles(const std::string& suffix) const {
    std::vector<std::string> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory_.path() / "splicehost", error)) {
      if (entry.path().string().ends_with(suffix)) found.push_back(entry.path());
    }
    return found;
  }
  Client connect() const { return Client(runtimeFiles(".socket").at(0)); }
  Client frontEnd() const {
    Client client = connect();
    client.greetAsFrontEnd();
    return client;
  }

  pid_t brokerProcess() const {
    Client client = connect();
    client.greet();
    client.receive();
    return static_cast<pid_t>(client.status().root<schema::FromBroker>().getStatus().getProcessId());
  }

  // Makes libraries, old enough to be trusted by their signatures.
  std::vector<std::string> makeLibraries(int count) {
    std::vector<std::string> files;
    for (int i = 0; i < count; ++i) {
      std::string name = "libHS" + std::to_string(i) + ".a";
      files.push_back(directory_.write(name, "the content of " + name));
    }
    return files;
  }

  // Has a zygote grown that has loaded these, and waits for it.
  void grow(const std::vector<std::string>& files, const std::vector<std::string>& symbols = {}) {
    std::vector<Operation> operations;
    for (const std::string& file : files) operations.push_back(load(file));
    Client client = frontEnd();
    client.report(client.nodes.at(0).id, operations, symbols);
    ASSERT_TRUE(settled());
    ASSERT_TRUE(frontEnd().find(files));
  }

  // Waits until nothing grows.
  bool settled() {
    return within(5s, [this] {
      Client client = connect();
      client.greet();
      client.receive();
      auto packet = client.status();
      for (auto zygote : packet.root<schema::FromBroker>().getStatus().getZygotes()) {
        if (zygote.getGrowing()) return false;
      }
      return true;
    });
  }

  // The processes of zygotes that have loaded so many files.
  std::vector<pid_t> zygotes(uint32_t files) {
    Client client = connect();
    client.greet();
    client.receive();
    auto packet = client.status();
    std::vector<pid_t> found;
    for (auto zygote : packet.root<schema::FromBroker>().getStatus().getZygotes()) {
      if (zygote.getFiles().size() == files) found.push_back(static_cast<pid_t>(zygote.getProcessId()));
    }
    return found;
  }

  testing::TemporaryDirectory directory_;
};

TEST_F(BrokerTest, ConcurrentStartsMakeOne) {
  std::vector<pid_t> starters;
  for (int i = 0; i < 10; ++i) starters.push_back(startBroker());
  for (pid_t starter : starters) EXPECT_EQ(exitStatus(starter), 0);
  EXPECT_EQ(runtimeFiles(".socket").size(), 1u);
  pid_t first = brokerProcess();
  start();
  EXPECT_EQ(brokerProcess(), first);
}

TEST_F(BrokerTest, StartsWithoutStandardStreams) {
  EXPECT_EQ(std::system(ISERVD " <&- >&- 2>&-"), 0);
  pid_t broker = brokerProcess();
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(broker) + "/fd/0"), "/dev/null");
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(broker) + "/fd/2"), runtimeFiles(".log").at(0));
  start();
  EXPECT_EQ(brokerProcess(), broker);
}

TEST_F(BrokerTest, StopLeavesNothingButTheLog) {
  start();
  stop();
  EXPECT_TRUE(runtimeFiles(".socket").empty());
  EXPECT_TRUE(runtimeFiles(".lock").empty());
  EXPECT_EQ(runtimeFiles(".log").size(), 1u);
}

TEST_F(BrokerTest, RemovesOldLogs) {
  start();
  stop();
  auto week = std::chrono::hours(7 * 24);
  for (std::string name : {"old", "recent", "used"}) directory_.write("splicehost/" + name + ".socket.log", "");
  directory_.write("splicehost/used.socket", "");
  for (auto [name, age] : {std::pair("old", week + 1h), std::pair("recent", week - 1h), std::pair("used", week + 1h)}) {
    auto path = directory_.path() / "splicehost" / (std::string(name) + ".socket.log");
    fs::last_write_time(path, fs::file_time_type::clock::now() - age);
  }
  start();
  fs::remove(directory_.path() / "splicehost/used.socket");
  auto logs = runtimeFiles(".socket.log");
  EXPECT_EQ(logs.size(), 3u);
  EXPECT_FALSE(fs::exists(directory_.path() / "splicehost/old.socket.log"));
}

TEST_F(BrokerTest, ADeadOneIsReplaced) {
  start();
  pid_t killed = brokerProcess();
  kill(killed, SIGKILL);
  // As this process's child; until it is gone it may still accept connections.
  EXPECT_EQ(exitStatus(killed), 128 + SIGKILL);
  start();
  EXPECT_NE(brokerProcess(), killed);
}

TEST_F(BrokerTest, EndsWhenItsSocketIsGone) {
  start();
  fs::remove(runtimeFiles(".socket").at(0));
  // TearDown() waits for it.
}

TEST_F(BrokerTest, RefusesAnotherVersion) {
  start();
  Client client = connect();
  client.greet(schema::BROKER_PROTOCOL_VERSION + 1);
  auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->root<schema::FromBroker>().isRefused());
}

TEST_F(BrokerTest, HangsUpOnNonsenseOnly) {
  start();
  Client good = connect();
  good.greet();
  good.receive();
  Client bad = connect();
  ASSERT_EQ(::send(bad.socket().fd(), "nonsense", 8, 0), 8);
  EXPECT_FALSE(bad.receive());
  Client impolite = connect();
  capnp::MallocMessageBuilder message;
  message.initRoot<schema::ToBroker>().setStatus();
  ASSERT_TRUE(impolite.socket().send(message));
  EXPECT_FALSE(impolite.receive());
  EXPECT_TRUE(good.status().root<schema::FromBroker>().isStatus());
}

TEST_F(BrokerTest, GivesSessions) {
  start();
  Client client = frontEnd();
  auto session = client.attach(client.nodes.at(0).id, {});
  ASSERT_TRUE(session);
  EXPECT_EQ(session->readLine(), "loaded 0 replayed 0 linked 0");
  session->tell("exit 7");
  EXPECT_EQ(client.awaitEnd(), std::pair(7, 0));
}

TEST_F(BrokerTest, TellsHowASessionEndedWhenItsZygoteIsGone) {
  start();
  Client client = frontEnd();
  auto session = client.attach(client.nodes.at(0).id, {});
  ASSERT_TRUE(session);
  session->readLine();
  for (pid_t zygote : zygotes(0)) kill(zygote, SIGKILL);
  std::this_thread::sleep_for(50ms);
  session->tell("kill 9");
  EXPECT_EQ(client.awaitEnd(), std::pair(0, 9));
  // And there is a new root zygote for the next.
  Client next = frontEnd();
  EXPECT_TRUE(next.attach(next.nodes.at(0).id, {}));
}

TEST_F(BrokerTest, GrowsWhatSessionsReport) {
  start();
  auto files = makeLibraries(3);
  grow(files, {"symbol", "other", "-missing"});
  Client client = frontEnd();
  EXPECT_EQ(client.nodes.size(), 4u);
  auto session = client.attach(*client.find(files), files);
  ASSERT_TRUE(session);
  EXPECT_EQ(session->readLine(), "loaded 3 replayed 0 linked 2");

  // Half of it is there: the rest is replayed.
  auto more = files;
  more.push_back(directory_.write("libHSmore.a", "more"));
  grow(more);
  for (pid_t zygote : zygotes(4)) kill(zygote, SIGKILL);
  ASSERT_TRUE(within(2s, [&] { return zygotes(4).empty(); }));
  Client second = frontEnd();
  auto longer = second.attach(*second.find(more), more);
  ASSERT_TRUE(longer);
  EXPECT_EQ(longer->readLine(), "loaded 3 replayed 1 linked 2");

  auto packet = second.status();
  auto status = packet.root<schema::FromBroker>().getStatus();
  EXPECT_EQ(status.getAttaches(), 2u);
  EXPECT_EQ(status.getHits(), 1u);
  EXPECT_EQ(status.getSavedNanoseconds(), 6000u);
  EXPECT_EQ(status.getSessions().size(), 2u);
}

TEST_F(BrokerTest, ListensToTheLastWordsOfAClientThatDoesNot) {
  start();
  auto files = makeLibraries(1);
  {
    Client client = frontEnd();
    auto session = client.attach(client.nodes.at(0).id, {});
    ASSERT_TRUE(session);
    session->tell("exit 0");
    // The broker tells that the session has ended, which nobody reads.
    pollfd fd = {client.socket().fd(), POLLIN, 0};
    ASSERT_EQ(poll(&fd, 1, 5000), 1);
    client.report(client.nodes.at(0).id, {load(files[0])});
  }
  EXPECT_TRUE(within(2s, [&] { return frontEnd().find(files).has_value(); }));
}

TEST_F(BrokerTest, LinksAheadWhatWasLookedUp) {
  start();
  auto files = makeLibraries(1);
  grow(files);
  Client first = frontEnd();
  EXPECT_EQ(first.attach(*first.find(files), files)->readLine(), "loaded 1 replayed 0 linked 0");
  first.report(*first.find(files), {}, {"symbol"});
  ASSERT_TRUE(settled());
  Client second = frontEnd();
  EXPECT_EQ(second.attach(*second.find(files), files)->readLine(), "loaded 1 replayed 0 linked 1");

  // What repeats the first session is to be as that one was.
  Client again = frontEnd();
  EXPECT_EQ(again.attach(*again.find(files), files, first.zygote)->readLine(), "loaded 1 replayed 0 linked 0");
  EXPECT_EQ(again.zygote, first.zygote);
  EXPECT_NE(again.zygote, second.zygote);
}

TEST_F(BrokerTest, KnowsCopies) {
  start();
  auto files = makeLibraries(2);
  grow(files);
  std::vector<Operation> copies;
  for (const std::string& file : files) {
    fs::copy_file(file, file + ".copy.a");
    copies.push_back(load(file + ".copy.a"));
  }
  Client client = frontEnd();
  client.report(client.nodes.at(0).id, copies, {"symbol"});
  ASSERT_TRUE(settled());
  EXPECT_EQ(frontEnd().nodes.size(), 3u);
}

TEST_F(BrokerTest, TellsWhatIsInAFile) {
  start();
  Client client = connect();
  client.greet();
  client.receive();
  for (bool exists : {true, false}) {
    capnp::MallocMessageBuilder message;
    std::string path = exists ? makeLibraries(1)[0] : "/no/such/file";
    message.initRoot<schema::ToBroker>().setIdentify(toData(path));
    ASSERT_TRUE(client.socket().send(message));
    auto answer = client.receive();
    auto identity = answer->root<schema::FromBroker>().getIdentity();
    ASSERT_EQ(identity.isSha256(), exists);
    if (exists) {
      auto digest = linker::digestFile(path);
      EXPECT_EQ(toString(identity.getSha256()), std::string(digest->bytes.begin(), digest->bytes.end()));
    }
  }
}

TEST_F(BrokerTest, NeverUsesAFileThatWasChangedInPlace) {
  start();
  auto files = makeLibraries(3);
  grow({files[0]});
  grow(files);
  Client before = frontEnd();
  // The client has copies of the files, which do not change.
  std::vector<std::string> copies;
  for (const std::string& file : files) {
    copies.push_back(file + ".copy.a");
    fs::copy_file(file, copies.back());
  }
  std::this_thread::sleep_for(20ms);  // the kernel's clock for file times ticks every 1 to 10 ms
  directory_.write("libHS2.a", "something else");
  auto session = before.attach(*before.find(files), copies);
  ASSERT_TRUE(session);
  EXPECT_EQ(session->readLine(), "loaded 1 replayed 2 linked 0");
  Client after = frontEnd();
  EXPECT_FALSE(after.find(files));
  EXPECT_TRUE(after.find({files[0], files[1]}));
}

TEST_F(BrokerTest, AReplacedFileDoesNoHarm) {
  start();
  auto files = makeLibraries(2);
  grow(files);
  fs::rename(directory_.write("new", "something else"), files[1]);
  Client client = frontEnd();
  auto session = client.attach(*client.find(files), files);
  ASSERT_TRUE(session);
  EXPECT_EQ(session->readLine(), "loaded 2 replayed 0 linked 0");
}

TEST_F(BrokerTest, WatchesWhatASharedObjectNeeds) {
  start();
  auto files = makeLibraries(2);
  std::string dependency = directory_.write("libneeded.so", "needed");
  directory_.write("libHS1.a.needs", dependency);
  grow(files);
  fs::rename(directory_.write("new", "something else"), dependency);
  Client client = frontEnd();
  NodeId node = *client.find(files);
  auto session = client.attach(node, files);
  ASSERT_TRUE(session);
  EXPECT_EQ(session->readLine(), "loaded 0 replayed 2 linked 0");
  EXPECT_FALSE(frontEnd().find(files));

  // What the session reports is about the new files.
  client.report(node, {}, {"symbol"});
  ASSERT_TRUE(settled());
  Client next = frontEnd();
  ASSERT_TRUE(next.find(files));
  EXPECT_EQ(next.attach(*next.find(files), files)->readLine(), "loaded 2 replayed 0 linked 1");
}

class BadFile : public BrokerTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(BrokerTest, BadFile, ::testing::Values("bad", "deadly"));

TEST_P(BadFile, EndsTheGrowth) {
  start();
  auto files = makeLibraries(5);
  std::vector<Operation> operations;
  for (const std::string& file : files) operations.push_back(load(file));
  operations.push_back(load(directory_.write("libHSbad.a", GetParam())));
  Client client = frontEnd();
  client.report(client.nodes.at(0).id, operations);
  ASSERT_TRUE(settled());
  Client next = frontEnd();
  EXPECT_TRUE(next.find(files));
  EXPECT_EQ(next.nodes.size(), 1 + files.size());
}

TEST_F(BrokerTest, KeepsLimits) {
  setenv("ISERV_ZYGOTES", "2", 1);
  start();
  auto files = makeLibraries(3);
  grow({files[0]});
  grow({files[1]});
  EXPECT_TRUE(within(5s, [&] { return zygotes(1).size() == 1; }));
  EXPECT_EQ(zygotes(0).size(), 1u);
}

TEST_F(BrokerTest, SessionsOutliveAStop) {
  start();
  Client client = frontEnd();
  auto session = client.attach(client.nodes.at(0).id, {});
  ASSERT_TRUE(session);
  session->readLine();
  pid_t broker = brokerProcess();
  stop();
  EXPECT_TRUE(within(4s, [&] { return waitpid(broker, nullptr, WNOHANG) != 0; }));
  EXPECT_EQ(kill(client.session, 0), 0);
}

size_t openFiles(pid_t process) {
  auto directory = fs::directory_iterator("/proc/" + std::to_string(process) + "/fd");
  return static_cast<size_t>(std::distance(begin(directory), end(directory)));
}

TEST_F(BrokerTest, NothingIsLeftOfSessions) {
  start();
  auto files = makeLibraries(2);
  grow(files);
  pid_t broker = brokerProcess();
  auto oneSession = [&] {
    Client client = frontEnd();
    auto session = client.attach(*client.find(files), files);
    ASSERT_TRUE(session);
    session->tell("exit 0");
    ASSERT_EQ(client.awaitEnd(), std::pair(0, 0));
  };
  for (int i = 0; i < 20; ++i) oneSession();
  ASSERT_TRUE(settled());
  std::this_thread::sleep_for(100ms);
  size_t before = openFiles(broker);
  for (int i = 0; i < 200; ++i) oneSession();
  EXPECT_TRUE(within(2s, [&] { return openFiles(broker) <= before; })) << openFiles(broker) << " " << before;
}

TEST_F(BrokerTest, ServesManyAtOnce) {
  start();
  auto files = makeLibraries(2);
  grow(files);
  std::vector<std::thread> threads;
  std::atomic<int> served = 0;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&] {
      Client client = frontEnd();
      auto session = client.attach(*client.find(files), files);
      if (!session || session->readLine() != "loaded 2 replayed 0 linked 0") return;
      session->tell("exit 3");
      served += client.awaitEnd() == std::pair(3, 0) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, 64);
}

TEST_F(BrokerTest, SurvivesWhateverDies) {
  start();
  auto files = makeLibraries(3);
  grow({files[0]});
  grow(files, {"symbol"});
  pid_t broker = brokerProcess();
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 25; ++j) {
        Client client = frontEnd();
        auto node = client.find(files);
        auto session = node ? client.attach(*node, files) : client.attach(client.nodes.at(0).id, {});
        if (!session) continue;
        // It may have been killed.
        std::string line = session->readLine();
        if (line.starts_with("loaded")) ++served;
        if (j % 2 != 0) continue;
        client.report(client.nodes.at(0).id, {load(files[i % 3])}, {"s" + std::to_string(j)});
      }
    });
  }
  for (int round = 0; round < 15; ++round) {
    std::this_thread::sleep_for(10ms);
    for (const auto& process : fs::directory_iterator("/proc")) {
      // Other tests may be running, with zygotes of their own.
      pid_t id = std::atoi(process.path().filename().c_str());
      if (id > 0 && id != broker && isBelow(id, broker) && rand() % 4 == 0) kill(id, SIGKILL);
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(served, 20);
  EXPECT_EQ(brokerProcess(), broker);
  ASSERT_TRUE(settled());
  EXPECT_TRUE(within(5s, [&] {
    Client client = connect();
    client.greet();
    client.receive();
    return client.status().root<schema::FromBroker>().getStatus().getSessions().size() == 0;
  }));
}

// --- clients that are no good: each costs itself, and nobody else

// Sends a message as it is, with the fds of an attach.
void sendRaw(Client& client, kj::ArrayPtr<const capnp::word> words) {
  kj::AutoCloseFd directory(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  int fds[] = {directory.get(), directory.get()};
  Status sent = sendPacket(client.socket().fd(), 0, std::as_bytes(std::span(words.begin(), words.size())), fds);
  ASSERT_TRUE(sent) << sent.error().message;
}

// A pointer in a place that the schema does not know is copied with what is around it, and leads nowhere.
TEST_F(BrokerTest, OutlivesPointersThatNobodyReads) {
  start();
  pid_t broker = brokerProcess();
  auto poisoned = [](schema::ToBroker::Which which, unsigned known) {
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<capnp::AnyPointer>().initAsAnyStruct(1, 1);
    *reinterpret_cast<uint16_t*>(root.getDataSection().begin()) = static_cast<uint16_t>(which);
    // The struct that is copied: a key in a hello, or an attach.
    auto inner = root.getPointerSection()[0].initAsAnyStruct(3, known + 1);
    auto copied = which == schema::ToBroker::HELLO ? inner.getPointerSection()[0].initAsAnyStruct(1, 8) : inner;
    if (which == schema::ToBroker::HELLO) {
      *reinterpret_cast<uint32_t*>(inner.getDataSection().begin()) = schema::BROKER_PROTOCOL_VERSION;
    }
    auto pointers = copied.getPointerSection();
    pointers[pointers.size() - 1].setAs<capnp::Text>("x");
    auto words = capnp::messageToFlatArray(message);
    reinterpret_cast<uint64_t*>(words.begin())[words.size() - 2] = (uint64_t{0x10001} << 32) | (0x3fff << 2);
    return words;
  };
  Client greeting = connect();
  sendRaw(greeting, poisoned(schema::ToBroker::HELLO, 1));
  EXPECT_FALSE(greeting.receive());
  Client attaching = frontEnd();
  sendRaw(attaching, poisoned(schema::ToBroker::ATTACH, 6));
  EXPECT_FALSE(attaching.receive());
  EXPECT_EQ(brokerProcess(), broker);
  Client good = frontEnd();
  EXPECT_TRUE(good.attach(good.nodes.at(0).id, {}));
}

// Their processes and sockets may be gone when the broker looks at them.
TEST_F(BrokerTest, OutlivesClientsThatDieAtOnce) {
  start();
  pid_t broker = brokerProcess();
  for (int i = 0; i < 200; ++i) {
    pid_t child = fork();
    if (child == 0) {
      Client client = connect();
      if (i % 4 == 0) client.greet();
      if (i % 4 > 1) client.greetAsFrontEnd();
      capnp::MallocMessageBuilder message;
      message.initRoot<schema::ToBroker>().setStatus();
      if (i % 4 == 2) (void)client.socket().send(message);
      if (i % 4 == 3) client.report(client.nodes.at(0).id, {load("/nonexistent")});
      _exit(HasFailure() ? 1 : 0);
    }
    ASSERT_EQ(exitStatus(child), 0);
  }
  EXPECT_EQ(brokerProcess(), broker);
  Client good = frontEnd();
  EXPECT_TRUE(good.attach(good.nodes.at(0).id, {}));
}

TEST_F(BrokerTest, HangsUpOnWhoAsksWithoutEnd) {
  start();
  Client client = connect();
  client.greet();
  ASSERT_TRUE(client.receive());
  std::string file = directory_.write("large", std::string(1 << 20, 'x'));
  bool hungUp = false;
  for (int i = 0; i < 100'000 && !hungUp; ++i) {
    capnp::MallocMessageBuilder message;
    message.initRoot<schema::ToBroker>().setIdentify(toData(file));
    hungUp = !client.socket().send(message);
  }
  EXPECT_TRUE(hungUp);
  Client good = frontEnd();
  EXPECT_TRUE(good.attach(good.nodes.at(0).id, {}));
}

TEST_F(BrokerTest, LetsSilentConnectionsGoForOthers) {
  start();
  std::vector<Client> silent;
  for (int i = 0; i < 400; ++i) silent.push_back(connect());
  Client good = frontEnd();
  EXPECT_TRUE(good.attach(good.nodes.at(0).id, {}));
  EXPECT_FALSE(silent.front().receive());
}

// Neither is a library, and reading either would not end soon.
TEST_F(BrokerTest, DoesNotReadWhatIsNoLibrary) {
  start();
  std::string pipe = directory_.path() / "pipe", huge = directory_.path() / "huge";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  kj::AutoCloseFd file(open(huge.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_EQ(ftruncate(file.get(), off_t{1} << 40), 0);
  Client client = connect();
  client.greet();
  ASSERT_TRUE(client.receive());
  for (const std::string& path : {pipe, huge, std::string("/dev/zero"), std::string(1 << 11, 'x')}) {
    capnp::MallocMessageBuilder message;
    message.initRoot<schema::ToBroker>().setIdentify(toData(path));
    ASSERT_TRUE(client.socket().send(message));
    auto answer = client.receive();
    ASSERT_TRUE(answer && answer->root<schema::FromBroker>().isIdentity()) << path;
    EXPECT_TRUE(answer->root<schema::FromBroker>().getIdentity().isUnreadable()) << path;
  }
}

// Each would be a process, at the least.
TEST_F(BrokerTest, HasSoManyKindsOfInterpretersAtTheMost) {
  start();
  std::vector<Client> clients;
  bool refused = false;
  for (int i = 0; i < 100 && !refused; ++i) {
    Client& client = clients.emplace_back(connect());
    capnp::MallocMessageBuilder message;
    auto hello = message.initRoot<schema::ToBroker>().initHello();
    hello.setProtocolVersion(schema::BROKER_PROTOCOL_VERSION);
    auto key = hello.initInterpreter();
    key.setProgram(toData(FAKE_ZYGOTE));
    key.setProgramName(toData("fake"));
    key.setBuildIdentity("build " + std::to_string(i));
    ASSERT_TRUE(client.socket().send(message));
    auto answer = client.receive();
    ASSERT_TRUE(answer);
    refused = answer->root<schema::FromBroker>().isRefused();
  }
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace splicehost::broker
