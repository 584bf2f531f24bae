// A front end's link to a target and the target's client, at the two ends of a socket pair. What is between GHC and the
// one, and behind the other, is the test: it makes requests, and is the interpreter.

#include "iserv/remote/remote_client.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "iserv/remote/remote_interpreter.h"
#include "protocol/ghc_messages.h"
#include "protocol/text.h"
#include "tests/iserv/remote/content.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

using ::testing::HasSubstr;

constexpr Milliseconds kPatience{10'000};

class RemoteClientTest : public ::testing::Test {
 protected:
  using Request = std::function<void(schema::Request::Builder)>;

  RemoteClientTest() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    RemoteOptions options;
    options.destination.text = "unix:/target";
    link_ = need(RemoteInterpreter::over({plainStream(ends[0], ends[0]), nullptr}, std::move(options), attention_));
    channel_ = std::make_unique<Channel>(plainStream(ends[1], ends[1]), kPatience);
    EXPECT_TRUE(channel_->takeIn().ok());
    EXPECT_TRUE(need(channel_->next<schema::ToTarget>()).isHello());
    capnp::MallocMessageBuilder answer;
    answer.initRoot<schema::FromTarget>().initHello().initAccepted();
    EXPECT_TRUE(channel_->send(answer).ok());

    store_ = need(ContentStore::open(directory_.path() / "store", 1 << 30));
    kj::AutoCloseFd printed[2];
    for (int i : {0, 1}) {
      int pipe[2];
      if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
      printed[i] = kj::AutoCloseFd(pipe[0]);
      standard_[i] = kj::AutoCloseFd(pipe[1]);
    }
    client_ = std::make_unique<RemoteClient>(*channel_, *store_, boot_, kj::mv(printed[0]), kj::mv(printed[1]));
  }

  ~RemoteClientTest() noexcept override = default;

  template <typename T>
  static T need(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(*result);
  }
  template <typename T>
  static T need(Result<std::optional<T>> result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(result->value());
  }

  // --- the compiler's side

  void ask(const Request& make, bool awaited = true) {
    capnp::MallocMessageBuilder builder;
    auto request = builder.initRoot<schema::ToInterpreter>().initRequest();
    make(request);
    Status sent = link_->send(builder, {request.which(), "a request"}, awaited);
    ASSERT_TRUE(sent) << sent.error().message;
  }
  static Request loadArchive(const std::string& path) {
    return [path](auto request) { request.setLoadArchive(path); };
  }
  static Request loadDll(const std::string& path) {
    return [path](auto request) { request.setLoadDll(path); };
  }
  static Request lookup(const std::string& symbol) {
    return [symbol](auto request) { request.setLookupSymbol(symbol); };
  }
  static Request resolve() {
    return [](auto request) { request.setResolveObjs(); };
  }

  // Waits for the next message, while the target does its part. Empty if the interpreter is gone.
  std::optional<schema::FromInterpreter::Reader> receive() {
    auto end = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      while (!need(link_->ready())) {
        if (std::chrono::steady_clock::now() > end) throw std::runtime_error("nothing comes");
        serve();
      }
      auto message = link_->receive();
      if (!message) {
        complaint_ = message.error().message;
        return std::nullopt;
      }
      if (!*message) continue;
      if ((*message)->isReply()) link_->done();
      return *message;
    }
  }
  schema::Reply::Reader receiveReply() { return receive().value().getReply(); }

  // --- the target's side

  // What the front end on the target does: has the interpreter carry out what has come.
  void serve() {
    Status taken = client_->takeIn();
    ASSERT_TRUE(taken) << taken.error().message;
    for (;;) {
      auto builder = std::make_unique<capnp::MallocMessageBuilder>();
      size_t size = 0;
      auto next = client_->next(builder->initRoot<schema::ToInterpreter>(), &size);
      ASSERT_TRUE(next) << next.error().message;
      if (*next != Client::Next::kRequest) break;
      requests_.push_back(std::move(builder));
    }
    if (busy_) return;
    while (given_ < requests_.size()) reply(given_);
  }

  // The interpreter's reply to the request with this serial.
  void reply(uint64_t serial) {
    auto asked = request(serial);
    capnp::MallocMessageBuilder builder;
    auto reply = builder.initRoot<schema::Reply>();
    switch (asked.which()) {
      case schema::Request::LOOKUP_SYMBOL:
        reply.initMaybePointer().setPointer(serial);
        break;
      case schema::Request::LOOKUP_SYMBOL_IN_DLL:
        reply.initMaybePointer().setPointer(asked.getLookupSymbolInDll().getHandle());
        break;
      case schema::Request::LOAD_DLL:
        reply.initLoadedDll().setHandle(ghc::sharedObjectHandle(toString(asked.getLoadDll())));
        break;
      case schema::Request::RESOLVE_OBJS:
        reply.setBool(true);
        break;
      default:
        reply.setDone();
    }
    auto told = client_->reply(serial, asked.which(), reply);
    ASSERT_TRUE(told && *told);
    given_ = std::max(given_, serial + 1);
  }
  schema::Request::Reader request(uint64_t serial) {
    return requests_.at(serial)->getRoot<schema::ToInterpreter>().getRequest().asReader();
  }

  static std::string contentOf(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // A static archive without members.
  std::string archive(const std::string& name) { return directory_.write(name, "!<arch>\n"); }
  void print(int stream, const std::string& what) {
    ASSERT_EQ(write(standard_[stream - 1].get(), what.data(), what.size()), static_cast<ssize_t>(what.size()));
  }

  testing::TemporaryDirectory directory_;
  Attention attention_{nullptr};
  std::unique_ptr<Interpreter> link_;
  std::string complaint_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<ContentStore> store_;
  BootContent boot_;
  kj::AutoCloseFd standard_[2];  // the interpreter's
  std::unique_ptr<RemoteClient> client_;
  std::vector<std::unique_ptr<capnp::MallocMessageBuilder>> requests_;  // that the interpreter was given
  uint64_t given_ = 0;                                                  // replies
  bool busy_ = false;                                                   // the interpreter replies when it is told to
};

TEST_F(RemoteClientTest, BringsTheFileOfARequest) {
  std::string path = archive("libHSlens.a");
  ask(loadArchive(path));
  EXPECT_TRUE(receiveReply().isDone());
  std::string here = toString(request(0).getLoadArchive());
  EXPECT_NE(here, path);
  EXPECT_TRUE(here.starts_with(store_->directory() + "/"));
  EXPECT_TRUE(here.ends_with("/libHSlens.a"));
  EXPECT_EQ(contentOf(here), contentOf(path));
}

TEST_F(RemoteClientTest, BringsMoreThanOnePartInOnePiece) {
  std::string large(schema::CONTENT_PART_SIZE * 2 + 1000, 'x');
  for (size_t i = 0; i < large.size(); i += 7) large[i] = static_cast<char>(i);
  std::string path = directory_.write("Main.o", large);
  ask([&](auto request) { request.setLoadObj(path); });
  EXPECT_TRUE(receiveReply().isDone());
  EXPECT_EQ(contentOf(toString(request(0).getLoadObj())), large);
}

TEST_F(RemoteClientTest, HoldsWhatFollowsUntilTheFileIsThere) {
  ask(loadArchive(archive("libHSlens.a")), false);
  ask(lookup("lens"));
  serve();
  EXPECT_TRUE(requests_.empty());
  EXPECT_TRUE(receiveReply().isDone());
  EXPECT_EQ(receiveReply().getMaybePointer().getPointer(), 1u);
  EXPECT_TRUE(request(0).isLoadArchive());
  EXPECT_TRUE(request(1).isLookupSymbol());
}

TEST_F(RemoteClientTest, GivesRepliesInTheOrderOfTheRequests) {
  busy_ = true;
  ask(resolve(), false);
  ask(lookup("one"), false);
  ask(lookup("two"));
  while (requests_.size() < 3) serve();
  reply(2);
  reply(1);
  serve();
  EXPECT_FALSE(need(link_->ready()));
  reply(0);
  EXPECT_TRUE(receiveReply().isBool());
  EXPECT_EQ(receiveReply().getMaybePointer().getPointer(), 1u);
  EXPECT_EQ(receiveReply().getMaybePointer().getPointer(), 2u);
}

TEST_F(RemoteClientTest, KeepsBackRepliesUntilOneIsWaitedFor) {
  ask(lookup("one"), false);
  link_->flush();
  while (requests_.empty()) serve();
  EXPECT_FALSE(need(link_->ready()));
  ask(lookup("two"));
  EXPECT_EQ(receiveReply().getMaybePointer().getPointer(), 0u);
  EXPECT_EQ(receiveReply().getMaybePointer().getPointer(), 1u);
}

TEST_F(RemoteClientTest, RefusesAReplyThatIsNone) {
  busy_ = true;
  ask(resolve());
  while (requests_.empty()) serve();
  capnp::MallocMessageBuilder builder;
  auto reply = builder.initRoot<schema::Reply>();
  reply.setDone();
  EXPECT_FALSE(client_->reply(0, schema::Request::RESOLVE_OBJS, reply).ok());
  EXPECT_FALSE(client_->reply(1, schema::Request::INIT_LINKER, reply).ok());
}

// What the interpreter is linked with is never sent, and never loaded twice.
TEST_F(RemoteClientTest, DoesNotLoadWhatTheInterpreterHas) {
  std::string path = archive("libHSbase.a");
  boot_.emplace(testing::digestOf("!<arch>\n"), "");
  ask(loadArchive(path), false);
  ask(resolve());
  EXPECT_TRUE(receiveReply().isDone());
  EXPECT_TRUE(receiveReply().isBool());
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_TRUE(request(0).isResolveObjs());
  EXPECT_FALSE(store_->find(testing::digestOf("!<arch>\n"), "libHSbase.a"));
}

// A handle is made of a name, which is another one there.
TEST_F(RemoteClientTest, LooksUpSymbolsInTheSharedObjectThatWasLoaded) {
  Dl_info some;
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&getpid), &some), 0);
  std::string path = directory_.write("libHSlens.so", contentOf(some.dli_fname));
  ask(loadDll(path));
  ask([&](auto request) {
    auto lookup = request.initLookupSymbolInDll();
    lookup.setHandle(ghc::sharedObjectHandle(path));
    lookup.setSymbol("lens");
  });
  EXPECT_TRUE(receiveReply().isLoadedDll());
  uint64_t handle = receiveReply().getMaybePointer().getPointer();
  size_t loads = requests_.size() - 1;
  EXPECT_EQ(handle, ghc::sharedObjectHandle(toString(request(loads - 1).getLoadDll())));
  EXPECT_NE(handle, ghc::sharedObjectHandle(path));
}

TEST_F(RemoteClientTest, ShowsWhatWasPrintedBeforeTheReply) {
  busy_ = true;
  std::string path = archive("libHSlens.a");
  ask(loadArchive(path), false);
  ask(resolve());
  while (requests_.size() < 2) {
    need(link_->ready());
    serve();
  }
  print(STDOUT_FILENO, "hello\n");
  print(STDERR_FILENO, toString(request(0).getLoadArchive()) + ": no member\n");
  reply(0);
  reply(1);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(receiveReply().isDone());
  EXPECT_TRUE(receiveReply().isBool());
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "hello\n");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), path + ": no member\n");
}

TEST_F(RemoteClientTest, CarriesASplicesQuestionAndItsAnswer) {
  const std::string question = "who am I?", answer = "nobody";
  ask([](auto request) { request.initRunTh(); });
  busy_ = true;
  while (requests_.empty()) serve();
  ASSERT_TRUE(client_->ask(std::as_bytes(std::span(question))));
  auto asked = receive().value();
  ASSERT_TRUE(asked.isThRequest());
  EXPECT_EQ(toString(asked.getThRequest()), question);

  capnp::MallocMessageBuilder builder;
  builder.initRoot<schema::ToInterpreter>().setThAnswer(toData(answer));
  ASSERT_TRUE(link_->sendAnswer(builder));
  while (client_->answerToSplice().empty()) serve();
  auto got = client_->answerToSplice();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(got.data()), got.size()), answer);
  client_->answerTaken(4);
  got = client_->answerToSplice();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(got.data()), got.size()), "dy");
}

TEST_F(RemoteClientTest, SaysWhyThereIsNoInterpreterAnyMore) {
  std::string path = archive("libHSlens.a");
  ask(loadArchive(path));
  EXPECT_TRUE(receiveReply().isDone());
  client_->complain("loadArchive " + toString(request(0).getLoadArchive()) + ": it is bad");
  client_->finish(1);
  EXPECT_FALSE(receive());
  EXPECT_EQ(complaint_, "loadArchive " + path + ": it is bad");
  EXPECT_FALSE(link_->isGone());
  auto end = link_->end(Interpreter::Ending::kFailed, attention_);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, 1);
  EXPECT_EQ(end->signal, 0);
}

TEST_F(RemoteClientTest, SaysWhichSignalEndedTheInterpreter) {
  client_->finish(client_->endedBySignal(SIGSEGV));
  EXPECT_FALSE(receive());
  EXPECT_TRUE(link_->isGone());
  auto end = link_->end(Interpreter::Ending::kFailed, attention_);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->signal, SIGSEGV);
}

TEST_F(RemoteClientTest, NoticesThatTheFrontEndIsGone) {
  need(link_->ready());
  EXPECT_FALSE(client_->gone());
  link_.reset();
  ASSERT_TRUE(client_->takeIn());
  EXPECT_TRUE(client_->gone());
  capnp::MallocMessageBuilder builder;
  size_t size = 0;
  EXPECT_EQ(*client_->next(builder.initRoot<schema::ToInterpreter>(), &size), Client::Next::kGone);
}

TEST_F(RemoteClientTest, SaysThatAFileHasChangedSinceItWasNamed) {
  std::string path = archive("libHSlens.a");
  ask(loadArchive(path));
  directory_.write("libHSlens.a", "!<arch>\n and more");
  Status taken = client_->takeIn();
  for (int i = 0; taken && i < 100; ++i) {
    need(link_->ready());
    taken = client_->takeIn();
  }
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message, HasSubstr("has changed since it was named"));
}

}  // namespace
}  // namespace splicehost::remote
