// A front end that shares an interpreter, with its broker, which is the test. (tests/iserv/broker/ has the real one.)

#include "iserv/front_end/broker_connection.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "iserv/base/runtime_directory.h"
#include "linker/file_system.h"
#include "protocol/ghc_messages.h"
#include "protocol/system.h"
#include "protocol/text.h"
#include "tests/iserv/environment.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

using schema::LoadKind;

const std::string kDigest(32, 'x');

// What the broker has recorded. Each node has the one before for its parent; its id is 100 and its position.
struct Recorded {
  LoadKind kind;
  std::string file;
  // What is known of the file: its signature, as it is now, or its content.
  bool hasSignature = true;
  bool hasDigest = false;
  bool isBound = false;
};

int64_t nanoseconds(const statx_timestamp& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

void describeFile(const std::string& path, schema::FileSignature::Builder signature) {
  struct statx status;
  ASSERT_TRUE(linker::examine(AT_FDCWD, path.c_str(), status)) << path;
  signature.setDevice(makedev(status.stx_dev_major, status.stx_dev_minor));
  signature.setInode(status.stx_ino);
  signature.setSize(status.stx_size);
  signature.setModified(nanoseconds(status.stx_mtime));
  signature.setChanged(nanoseconds(status.stx_ctime));
  signature.setMount(status.stx_mnt_id);
}

template <typename Fill>
Status tell(PacketSocket& socket, Fill fill, std::span<const int> fds = {}) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<schema::FromBroker>());
  return socket.send(message, fds);
}

Status tellRecords(PacketSocket& socket, const std::vector<Recorded>& records) {
  capnp::MallocMessageBuilder trie;
  auto nodes = trie.initRoot<schema::Trie>().initNodes(static_cast<uint32_t>(records.size()) + 1);
  for (uint32_t i = 0; i < nodes.size(); ++i) {
    nodes[i].setId(100 + i);
    if (i < records.size()) nodes[i].initChildren(1).set(0, i + 1);
    if (i == 0) continue;
    const Recorded& recorded = records[i - 1];
    nodes[i].initOperation().setKind(recorded.kind);
    nodes[i].getOperation().setFile(toData(recorded.file));
    nodes[i].setBound(recorded.isBound);
    if (recorded.hasDigest) nodes[i].setSha256(toData(kDigest));
    if (recorded.hasSignature && recorded.file.starts_with('/')) {
      describeFile(recorded.file, nodes[i].initSignatures(1)[0]);
    }
  }
  size_t bytes = 0;
  Result<kj::AutoCloseFd> memory = sealedMemory("records", trie, &bytes);
  if (!memory) return memory.error();
  int fds[] = {memory->get()};
  return tell(
      socket, [&](auto message) { message.setTrie(bytes); }, fds);
}

class BrokerConnectionTest : public ::testing::Test {
 protected:
  BrokerConnectionTest() {
    environment_.set("XDG_RUNTIME_DIR", directory_.path());
    // It does not start, and has said why.
    program_.broker = directory_.write("iservd", "#!/bin/sh\ntouch \"$0\".started\nexit 1\n");
    chmod(program_.broker.c_str(), 0755);
    program_.path = "/lib/iserv";
    program_.name = "iserv";
    program_.ghcVersion = "9.0.2";
    program_.way = schema::Way::VANILLA;
    program_.identity = "this build";
  }
  ~BrokerConnectionTest() noexcept override = default;

  void listen() {
    Result<sockaddr_un> address = unixAddress(*runtimeDirectory() + "/" + *brokerSocketName(program_.broker));
    ASSERT_TRUE(address) << address.error().message;
    listener_ = kj::AutoCloseFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address), 0);
    ASSERT_EQ(::listen(listener_.get(), 8), 0);
  }

  PacketSocket accept() {
    return PacketSocket(kj::AutoCloseFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)));
  }

  void connect(Attention& attention) {
    listen();
    auto opened = BrokerConnection::open(program_, attention);
    ASSERT_TRUE(opened) << opened.error().message;
    client_ = std::move(*opened);
    broker_.emplace(accept());
  }

  // A client that has said hello and has these records.
  void connect(const std::vector<Recorded>& records) {
    connect(attention_);
    ASSERT_TRUE(hear());
    ASSERT_TRUE(tellRecords(*broker_, records));
    Status arrived = client_->awaitRecords();
    ASSERT_TRUE(arrived) << arrived.error().message;
  }

  // What the client has sent; nothing if that is nothing.
  std::optional<PacketSocket::Packet> hear() {
    auto packet = broker_->receive<schema::ToBroker>();
    EXPECT_TRUE(packet) << packet.error().message;
    return packet ? kj::mv(*packet) : std::nullopt;
  }
  static schema::ToBroker::Reader read(const std::optional<PacketSocket::Packet>& packet) {
    return packet->root<schema::ToBroker>();
  }

  // Why there are no records, after the broker has sent this.
  template <typename Fill>
  std::string complaintAfter(Fill fill, std::span<const int> fds = {}) {
    EXPECT_TRUE(tell(*broker_, fill, fds));
    Status arrived = client_->awaitRecords();
    return arrived ? "none" : arrived.error().message;
  }

  // The answer to a request of GHC's; nothing if an interpreter has to give it.
  template <typename Fill>
  std::string answer(Fill fill) {
    capnp::MallocMessageBuilder request, message;
    fill(request.initRoot<schema::Request>());
    auto reply = message.initRoot<schema::Reply>();
    if (!client_->answerLoad(request.getRoot<schema::Request>().asReader(), reply)) return "nothing";
    if (reply.isDone()) return "done";
    if (reply.isBool()) return reply.getBool() ? "true" : "false";
    return "handle " + std::to_string(reply.getLoadedDll().getHandle());
  }
  std::string initLinker() {
    return answer([](auto request) { request.setInitLinker(); });
  }
  std::string resolveObjs() {
    return answer([](auto request) { request.setResolveObjs(); });
  }
  std::string loadArchive(const std::string& file) {
    return answer([&](auto request) { request.setLoadArchive(file); });
  }
  std::string loadDll(const std::string& file) {
    return answer([&](auto request) { request.setLoadDll(file); });
  }

  template <typename Fill>
  void note(Fill fill) {
    capnp::MallocMessageBuilder request;
    fill(request.initRoot<schema::Request>());
    client_->noteRequest(request.getRoot<schema::Request>().asReader());
  }

  testing::Environment environment_;
  testing::TemporaryDirectory directory_;
  InterpreterProgram program_;
  Attention attention_{nullptr};
  kj::AutoCloseFd listener_;
  std::optional<PacketSocket> broker_;  // its end of the client's connection
  std::unique_ptr<BrokerConnection> client_;
};

// ---------------------------------------------------------------------------------------------------------------------
// Beginning

TEST_F(BrokerConnectionTest, SaysWhatItWantsToShare) {
  environment_.set("LD_LIBRARY_PATH", "lib:/usr/lib:");
  environment_.set("LC_ALL", "C");
  environment_.set("HOME", "/home/somebody");
  connect(attention_);
  auto packet = hear();
  ASSERT_TRUE(packet && read(packet).isHello());
  auto hello = read(packet).getHello();
  EXPECT_EQ(hello.getProtocolVersion(), schema::BROKER_PROTOCOL_VERSION);
  EXPECT_EQ(hello.getProcessId(), static_cast<uint32_t>(getpid()));
  auto key = hello.getInterpreter();
  EXPECT_EQ(toString(key.getProgram()), "/lib/iserv");
  EXPECT_EQ(toString(key.getProgramName()), "iserv");
  EXPECT_STREQ(key.getGhcVersion().cStr(), "9.0.2");
  EXPECT_STREQ(key.getBuildIdentity().cStr(), "this build");
  // What matters before a session has its own environment, and paths as every process understands them.
  std::vector<std::string> variables;
  for (auto variable : key.getEnvironment()) variables.push_back(toString(variable));
  std::string here = std::filesystem::current_path();
  auto has = [&](const std::string& variable) {
    return std::find(variables.begin(), variables.end(), variable) != variables.end();
  };
  EXPECT_TRUE(has("LD_LIBRARY_PATH=" + here + "/lib:/usr/lib:" + here));
  EXPECT_TRUE(has("LC_ALL=C"));
  EXPECT_FALSE(has("HOME=/home/somebody"));
  EXPECT_TRUE(std::is_sorted(variables.begin(), variables.end()));
}

TEST_F(BrokerConnectionTest, StartsTheBrokerAndLeavesItsComplaintToIt) {
  auto opened = BrokerConnection::open(program_, attention_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "");
  EXPECT_TRUE(std::filesystem::exists(program_.broker + ".started"));
}

TEST_F(BrokerConnectionTest, SaysThatThereIsNoBrokersProgram) {
  program_.broker = directory_.path() / "missing";
  auto opened = BrokerConnection::open(program_, attention_);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find(program_.broker), std::string::npos) << opened.error().message;
}

TEST_F(BrokerConnectionTest, SaysWhyItIsRefused) {
  connect(attention_);
  EXPECT_EQ(complaintAfter([](auto message) { message.setRefused("too many"); }), "the broker refuses: too many");
  // Told before.
  EXPECT_EQ(complaintAfter([](auto message) { message.setRefused(""); }), "");
}

TEST_F(BrokerConnectionTest, RefusesWhatIsNoRecords) {
  connect(attention_);
  EXPECT_EQ(complaintAfter([](auto message) { message.setReady(); }), "the broker sent no records");
  // Their memory is missing.
  EXPECT_EQ(complaintAfter([](auto message) { message.setTrie(64); }), "the broker sent no records");
  // And this is none.
  std::string nonsense(4096, '?');
  kj::AutoCloseFd file(open(directory_.write("nonsense", nonsense).c_str(), O_RDONLY | O_CLOEXEC));
  int fds[] = {file.get()};
  std::string complaint = complaintAfter([&](auto message) { message.setTrie(nonsense.size()); }, fds);
  EXPECT_TRUE(complaint.starts_with("the broker's records: ")) << complaint;
}

TEST_F(BrokerConnectionTest, SaysThatTheBrokerIsGone) {
  connect(attention_);
  broker_.reset();
  Status arrived = client_->awaitRecords();
  ASSERT_FALSE(arrived);
  EXPECT_EQ(arrived.error().message, "the broker is gone");
}

TEST_F(BrokerConnectionTest, DoesNotWaitForABrokerThatHangs) {
  connect(attention_);
  Status arrived = client_->awaitRecords();
  ASSERT_FALSE(arrived);
  EXPECT_EQ(arrived.error().message, "the broker does not answer");
}

TEST_F(BrokerConnectionTest, DoesNotWaitForTheBrokerWhenGhcIsGone) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  kj::AutoCloseFd ghc(ends[0]);
  close(ends[1]);
  Attention attention(nullptr, ghc.get());
  connect(attention);
  EXPECT_FALSE(client_->awaitRecords());
  EXPECT_TRUE(attention.cancelled());
}

// ---------------------------------------------------------------------------------------------------------------------
// Recorded answers

TEST_F(BrokerConnectionTest, AnswersWhatIsRecorded) {
  std::string archive = directory_.write("libHSlens.a", "lens"), object = directory_.write("libHSlens.so", "lens");
  connect({{LoadKind::INIT_LINKER, ""},
           {LoadKind::LOAD_DLL, "libgmp.so"},
           {LoadKind::LOAD_DLL, object},
           {LoadKind::LOAD_ARCHIVE, archive},
           {LoadKind::RESOLVE_OBJS, ""}});
  EXPECT_EQ(initLinker(), "done");
  // The interpreter will have the handles that are told here.
  EXPECT_EQ(loadDll("libgmp.so"), "handle " + std::to_string(ghc::sharedObjectHandle("libgmp.so")));
  EXPECT_EQ(loadDll(object), "handle " + std::to_string(ghc::sharedObjectHandle(object)));
  EXPECT_EQ(loadArchive(archive), "done");
  EXPECT_EQ(resolveObjs(), "true");
  EXPECT_EQ(resolveObjs(), "nothing");
}

TEST_F(BrokerConnectionTest, LeavesTheRestToTheInterpreter) {
  std::string archive = directory_.write("libHSlens.a", "lens"), other = directory_.write("libHSaeson.a", "aeson");
  connect({{LoadKind::INIT_LINKER, ""}, {LoadKind::LOAD_ARCHIVE, archive}});
  EXPECT_EQ(loadArchive(archive), "nothing") << "is not the first";
  EXPECT_EQ(initLinker(), "done");
  EXPECT_EQ(loadArchive(other), "nothing") << "is another";
  EXPECT_EQ(loadArchive(directory_.path() / "missing.a"), "nothing");
  EXPECT_EQ(answer([&](auto request) { request.setLoadObj(archive); }), "nothing") << "is loaded in another way";
  EXPECT_EQ(answer([](auto request) { request.setLookupSymbol("main"); }), "nothing") << "has an address for answer";
  // What was not recorded does not count: this is still the next.
  EXPECT_EQ(loadArchive(archive), "done");
}

TEST_F(BrokerConnectionTest, SeesThatAFileHasChanged) {
  std::string archive = directory_.write("libHSlens.a", "lens");
  connect({{LoadKind::LOAD_ARCHIVE, archive}});
  directory_.write("libHSlens.a", "other lens");
  EXPECT_EQ(loadArchive(archive), "nothing");
}

TEST_F(BrokerConnectionTest, AsksTheBrokerForTheContentOfAnotherFile) {
  std::string copy = directory_.write("copy.a", "lens");
  connect({{LoadKind::LOAD_ARCHIVE, "/elsewhere/libHSlens.a", false, true}});
  for (const std::string& digest : {std::string(32, 'y'), kDigest}) {
    ASSERT_TRUE(tell(*broker_, [&](auto message) { message.initIdentity().setSha256(toData(digest)); }));
    EXPECT_EQ(loadArchive(copy), digest == kDigest ? "done" : "nothing");
    auto packet = hear();
    ASSERT_TRUE(packet && read(packet).isIdentify());
    EXPECT_EQ(toString(read(packet).getIdentify()), copy);
  }
}

TEST_F(BrokerConnectionTest, GoesOnWithoutABrokerThatCannotTellTheContent) {
  std::string copy = directory_.write("copy.a", "lens");
  connect({{LoadKind::LOAD_ARCHIVE, "/elsewhere/libHSlens.a", false, true}});
  ASSERT_TRUE(tell(*broker_, [](auto message) { message.initIdentity().setUnreadable("no"); }));
  EXPECT_EQ(loadArchive(copy), "nothing");
  broker_.reset();
  EXPECT_EQ(loadArchive(copy), "nothing");
}

// A shared object can see by which path it was loaded.
TEST_F(BrokerConnectionTest, TellsPathsApartWhereThatMatters) {
  std::string object = directory_.write("libz.so", "z");
  std::string link = directory_.path() / "link.so";
  std::filesystem::create_hard_link(object, link);
  connect({{LoadKind::LOAD_DLL, object, true, true, true}});
  EXPECT_EQ(loadDll(link), "nothing");
  EXPECT_NE(loadDll(object), "nothing");
}

// ---------------------------------------------------------------------------------------------------------------------
// The session

TEST_F(BrokerConnectionTest, OrdersASession) {
  std::string archive = directory_.write("libHSlens.a", "lens");
  connect({{LoadKind::INIT_LINKER, ""}, {LoadKind::LOAD_ARCHIVE, archive}, {LoadKind::RESOLVE_OBJS, ""}});
  EXPECT_EQ(initLinker(), "done");
  EXPECT_EQ(loadArchive(archive), "done");
  EXPECT_FALSE(hear()) << "more may be recorded";

  Result<kj::AutoCloseFd> stream = client_->attach();
  ASSERT_TRUE(stream) << stream.error().message;
  auto packet = hear();
  ASSERT_TRUE(packet && read(packet).isAttach());
  auto attach = read(packet).getAttach();
  EXPECT_EQ(attach.getNode(), 102u);
  ASSERT_EQ(attach.getFiles().size(), 2u);
  EXPECT_EQ(attach.getFiles()[0].size(), 0u);
  EXPECT_EQ(toString(attach.getFiles()[1]), archive);
  // The session's end of the stream, the working directory and the standard streams.
  ASSERT_GE(packet->fds.size(), 5u);
  char byte = 0;
  EXPECT_EQ(write(stream->get(), "x", 1), 1);
  EXPECT_EQ(::read(packet->fds[0].get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  for (int i = 0; i < 4; ++i) {
    struct stat own, sent;
    ASSERT_EQ(i == 0 ? stat(".", &own) : fstat(i - 1, &own), 0);
    ASSERT_EQ(fstat(packet->fds[static_cast<size_t>(i) + 1].get(), &sent), 0);
    EXPECT_EQ(own.st_ino, sent.st_ino) << i;
  }

  ASSERT_TRUE(tell(*broker_, [](auto message) { message.initAttached().setZygote(77); }));
  Status provided = client_->awaitSession();
  EXPECT_TRUE(provided) << provided.error().message;
  EXPECT_EQ(client_->zygote(), 77u);
}

// It can be made ready while GHC works on.
TEST_F(BrokerConnectionTest, OrdersASessionAheadOfTimeAndOnce) {
  connect({{LoadKind::INIT_LINKER, ""}});
  EXPECT_EQ(initLinker(), "done");
  auto packet = hear();
  ASSERT_TRUE(packet && read(packet).isAttach());
  EXPECT_EQ(read(packet).getAttach().getNode(), 101u);
  EXPECT_TRUE(client_->attach());
  EXPECT_FALSE(hear());
}

TEST_F(BrokerConnectionTest, SaysWhyThereIsNoSession) {
  connect({{LoadKind::INIT_LINKER, ""}});
  ASSERT_TRUE(client_->attach());
  ASSERT_TRUE(tell(*broker_, [](auto message) { message.setRefused("no memory"); }));
  EXPECT_EQ(client_->awaitSession().error().message, "the broker refuses: no memory");
  ASSERT_TRUE(tell(*broker_, [](auto message) { message.setReady(); }));
  EXPECT_EQ(client_->awaitSession().error().message, "the broker provided no session");
  broker_.reset();
  EXPECT_EQ(client_->awaitSession().error().message, "the broker is gone");
}

TEST_F(BrokerConnectionTest, KillsASessionThatDoesNotAnswer) {
  pid_t session = fork();
  if (session == 0) {
    for (;;) pause();
  }
  connect({{LoadKind::INIT_LINKER, ""}});
  ASSERT_TRUE(client_->attach());
  ASSERT_TRUE(tell(*broker_, [&](auto message) { message.initAttached().setSession(static_cast<uint32_t>(session)); }));
  ASSERT_TRUE(client_->awaitSession());
  client_->killSession();
  int status = 0;
  ASSERT_EQ(waitpid(session, &status, 0), session);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

TEST_F(BrokerConnectionTest, HearsHowTheSessionEnded) {
  connect({{LoadKind::INIT_LINKER, ""}});
  EXPECT_FALSE(client_->sessionEnd(10)) << "nobody knows yet";
  // Messages of other kinds can be on their way.
  ASSERT_TRUE(tell(*broker_, [](auto message) { message.setReady(); }));
  ASSERT_TRUE(tell(*broker_, [](auto message) { message.initSessionEnded().setSignal(SIGSEGV); }));
  std::optional<Child::Exit> end = client_->sessionEnd(10'000);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->signal, SIGSEGV);
  EXPECT_EQ(end->status, 0);
}

// ---------------------------------------------------------------------------------------------------------------------
// Doing the same again

// The requests with which an interpreter gets to the same state.
std::vector<std::string> replayed(BrokerConnection& client, bool everything) {
  std::vector<std::string> requests;
  client.replay(everything, [&](capnp::MessageBuilder& message) {
    auto request = message.getRoot<schema::ToInterpreter>().asReader().getRequest();
    if (request.isInitLinker()) requests.push_back("initLinker");
    if (request.isResolveObjs()) requests.push_back("resolveObjs");
    if (request.isLoadArchive()) requests.push_back(std::string("loadArchive ") + request.getLoadArchive().cStr());
    if (request.isLoadDll()) requests.push_back(std::string("loadDll ") + request.getLoadDll().cStr());
    if (request.isPlaceData()) requests.push_back("placeData " + toString(request.getPlaceData().getData()));
  });
  return requests;
}

TEST_F(BrokerConnectionTest, RepeatsWhatWasAnsweredForAnotherInterpreter) {
  std::string archive = directory_.write("libHSlens.a", "lens");
  connect({{LoadKind::INIT_LINKER, ""},
           {LoadKind::LOAD_DLL, "libgmp.so"},
           {LoadKind::LOAD_ARCHIVE, archive},
           {LoadKind::RESOLVE_OBJS, ""}});
  initLinker();
  loadDll("libgmp.so");
  capnp::MallocMessageBuilder request, reply;
  std::string bytes = "sixteen letters!";
  request.initRoot<schema::Request>().setMallocData(toData(bytes));
  EXPECT_TRUE(client_->answerMemory(request.getRoot<schema::Request>().asReader(), reply.initRoot<schema::Reply>()));
  loadArchive(archive);
  resolveObjs();
  using Requests = std::vector<std::string>;
  // The broker's sessions have loaded it all.
  EXPECT_EQ(replayed(*client_, false), Requests{"placeData " + bytes});
  EXPECT_EQ(replayed(*client_, false), Requests{});
  EXPECT_EQ(replayed(*client_, true), (Requests{"placeData " + bytes, "initLinker", "loadDll libgmp.so",
                                                "loadArchive " + archive, "resolveObjs"}));
}

TEST_F(BrokerConnectionTest, HasAnotherSessionLikeTheFirst) {
  std::string archive = directory_.write("libHSlens.a", "lens");
  const std::vector<Recorded> records = {{LoadKind::INIT_LINKER, ""}, {LoadKind::LOAD_ARCHIVE, archive}};
  connect(records);
  initLinker();
  loadArchive(archive);
  ASSERT_TRUE(client_->attach());
  ASSERT_TRUE(tell(*broker_, [](auto message) { message.initAttached().setZygote(77); }));
  ASSERT_TRUE(client_->awaitSession());

  std::thread again([&] {
    broker_.emplace(accept());
    EXPECT_TRUE(tellRecords(*broker_, records));
  });
  Result<kj::AutoCloseFd> stream = client_->attachAgain(program_);
  again.join();
  ASSERT_TRUE(stream) << stream.error().message;
  ASSERT_TRUE(hear());  // hello
  auto packet = hear();
  ASSERT_TRUE(packet && read(packet).isAttach());
  EXPECT_EQ(read(packet).getAttach().getNode(), 102u);
  EXPECT_EQ(read(packet).getAttach().getLike(), 77u);
}

TEST_F(BrokerConnectionTest, HasNoOtherSessionIfAFileHasChanged) {
  std::string archive = directory_.write("libHSlens.a", "lens");
  connect({{LoadKind::LOAD_ARCHIVE, archive}});
  loadArchive(archive);
  std::string other = directory_.write("other.a", "other");
  std::thread again([&] {
    broker_.emplace(accept());
    EXPECT_TRUE(tellRecords(*broker_, {{LoadKind::LOAD_ARCHIVE, other}}));
  });
  Result<kj::AutoCloseFd> stream = client_->attachAgain(program_);
  again.join();
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().message, archive + " has changed");
}

// ---------------------------------------------------------------------------------------------------------------------
// What the broker learns

// GHC links home modules into it, anew for each splice.
TEST_F(BrokerConnectionTest, DoesNotReportALibraryThatNobodyAsksForAgain) {
  connect({{LoadKind::INIT_LINKER, ""}});
  initLinker();
  ASSERT_TRUE(hear());  // attach
  note([](auto request) { request.setLoadDll("/tmp/ghc1_0/libghc_2.so"); });
  EXPECT_FALSE(hear());
}

TEST_F(BrokerConnectionTest, ReportsLoadsAtOnceAndSymbolsAtTheEnd) {
  connect({{LoadKind::INIT_LINKER, ""}});
  initLinker();
  ASSERT_TRUE(hear());  // attach
  note([](auto request) { request.setLoadArchive("libHSaeson.a"); });
  note([](auto request) { request.setResolveObjs(); });
  EXPECT_FALSE(hear());
  note([](auto request) { request.setLookupSymbol("aeson_closure"); });
  auto packet = hear();
  ASSERT_TRUE(packet && read(packet).isReport());
  auto report = read(packet).getReport();
  EXPECT_EQ(report.getNode(), 101u);
  ASSERT_EQ(report.getOperations().size(), 2u);
  EXPECT_EQ(toString(report.getOperations()[0].getFile()), std::filesystem::current_path().string() + "/libHSaeson.a");
  EXPECT_EQ(report.getOperations()[1].getKind(), LoadKind::RESOLVE_OBJS);

  client_->noteSymbol("aeson_closure");
  // Symbols are found at another place once more is loaded.
  note([](auto request) { request.setLoadArchive("/lib/more.a"); });
  client_->noteSymbol("more_closure");
  client_->report();
  packet = hear();
  ASSERT_TRUE(packet && read(packet).isReport());
  report = read(packet).getReport();
  EXPECT_EQ(report.getOperations().size(), 2u);
  ASSERT_EQ(report.getSymbols().size(), 1u);
  EXPECT_STREQ(report.getSymbols()[0].cStr(), "aeson_closure");
}

TEST_F(BrokerConnectionTest, ReportsNothingIfThereIsNothing) {
  connect({{LoadKind::INIT_LINKER, ""}});
  initLinker();
  ASSERT_TRUE(hear());  // attach
  note([](auto request) { request.setLookupSymbol("base_closure"); });
  client_->report();
  EXPECT_FALSE(hear());
  // Nor does it matter whether anybody is there.
  client_->noteSymbol("base_closure");
  broker_.reset();
  client_->report();
}

}  // namespace
}  // namespace splicehost
