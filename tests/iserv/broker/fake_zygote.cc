// Stands for an interpreter in the tests of the broker: takes a zygote's orders and loads nothing.
//
// A file whose content is "bad" cannot be loaded, one whose content is "deadly" ends the process, one of "slow" takes
// it a minute, one of "effect" does what forks do not have, and one of "mapped" is handed over. If there is a file
// <file>.needs, its content names a dependency. Symbols exist if they begin with a letter; those that begin with "!" do
// what forks do not have.
// By its name, it does something otherwise than it should: "nonsense" answers what it was not asked for, "ready twice"
// says so twice, "forks die" at once, and one that "depends" tells what it was started with.
// A session tells its client on its socket, in one line, what it has loaded and what it had to do itself;
// then it does what it is told there: "exit 7" or "kill 9". When its client hangs up it ends.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "iserv/broker/load_trie.h"
#include "protocol/packet_socket.h"

namespace splicehost::broker {
namespace {

std::string contentOf(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

class FakeZygote {
 public:
  FakeZygote(int fd, std::string name) : socket_(kj::AutoCloseFd(fd)), name_(std::move(name)) {}

  [[noreturn]] void run() {
    if (name_ == "depends") {
      sendStarted();
    } else {
      sendReady();
    }
    if (name_ == "ready twice") sendReady();
    for (;;) {
      pollfd fd = {socket_.fd(), POLLIN, 0};
      if (poll(&fd, 1, 1) == 0) {
        reportEnded();
        continue;
      }
      auto packet = socket_.receive<schema::ToZygote>();
      if (!packet || !*packet) _exit(0);
      handle(**packet);
    }
  }

 private:
  void handle(PacketSocket::Packet& packet) {
    auto order = packet.root<schema::ToZygote>();
    capnp::MallocMessageBuilder message;
    auto answer = message.initRoot<schema::FromZygote>();
    if (order.isStartSession()) startSession(order.getStartSession(), packet);
    std::vector<int> fds;
    kj::AutoCloseFd mapped;
    if (order.isLoad()) {
      Operation operation = readOperation(order.getLoad());
      load(operation, answer.initLoaded());
      if (operation.hasPath() && contentOf(operation.file) == "mapped") {
        mapped = kj::AutoCloseFd(open(operation.file.c_str(), O_RDONLY | O_CLOEXEC));
        fds.push_back(mapped.get());
      }
      if (name_ == "nonsense") answer.setForked(1);
    }
    if (order.isLookUp()) lookUp(order.getLookUp(), answer);
    if (order.isFork()) {
      pid_t child = fork();
      if (child == 0) {
        if (name_ == "forks die") _exit(1);
        socket_ = PacketSocket(kj::mv(packet.fds.at(0)));
        return sendReady();
      }
      answer.setForked(static_cast<uint32_t>(child));
    }
    send(message, fds);
  }

  void lookUp(capnp::List<capnp::Text>::Reader symbols, schema::FromZygote::Builder answer) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < symbols.size() && !answer.hasEffect(); ++i) {
      found += isalpha(symbols[i][0]) ? 1 : 0;
      if (symbols[i][0] != '!') continue;
      auto effect = answer.initEffect();
      effect.setWhat("it changes threads");
      effect.setFirst(i);
      effect.setCount(1);
    }
    linked_ += found;
    answer.setLookedUp(found);
  }

  void load(const Operation& operation, schema::Loaded::Builder answer) {
    std::string content = operation.hasPath() ? contentOf(operation.file) : "";
    if (content == "deadly") abort();
    if (content == "slow") sleep(60);
    auto digest = linker::digestFile(operation.file);
    if (content == "bad" || (operation.hasPath() && !digest)) return answer.setFailed("it is bad");
    auto done = answer.initDone();
    done.setNanoseconds(1000);
    if (content == "effect") done.setEffect("it changes threads");
    ++loaded_;
    if (!operation.hasPath()) return;
    auto signature = *linker::signatureOf(operation.file);
    done.setSha256({digest->bytes.data(), digest->bytes.size()});
    writeSignature(signature, done.initSignature());
    done.setSettled(linker::hasSettled(signature, linker::systemClock()));
    std::string dependency = contentOf(operation.file + ".needs");
    if (dependency.empty()) return;
    auto list = done.initConditions().initFiles(1);
    list[0].setPath(toData(dependency));
    writeSignature(*linker::signatureOf(dependency), list[0].initSignature());
  }

  [[noreturn]] void startSession(schema::StartSession::Reader order, PacketSocket::Packet& packet) {
    kj::AutoCloseFd client = kj::mv(packet.fds.at(0));
    socket_ = PacketSocket(kj::AutoCloseFd());
    dprintf(client.get(), "loaded %u replayed %u linked %u\n", loaded_, order.getReplay().size(), linked_);
    char command[16] = {};
    int number = 0;
    if (read(client.get(), command, sizeof command - 1) <= 0) _exit(0);
    if (sscanf(command, "exit %d", &number) == 1) _exit(number);
    if (sscanf(command, "kill %d", &number) == 1) kill(getpid(), number);
    _exit(1);
  }

  void reportEnded() {
    int status = 0;
    for (pid_t child; (child = waitpid(-1, &status, WNOHANG)) > 0;) {
      capnp::MallocMessageBuilder message;
      auto report = message.initRoot<schema::FromZygote>().initChildEnded();
      report.setProcessId(static_cast<uint32_t>(child));
      report.initEnded().setStatus(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
      report.getEnded().setSignal(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
      send(message);
    }
  }

  void sendReady() {
    capnp::MallocMessageBuilder message;
    message.initRoot<schema::FromZygote>().setReady(static_cast<uint32_t>(getpid()));
    send(message);
  }

  void sendStarted() {
    capnp::MallocMessageBuilder message;
    auto started = message.initRoot<schema::FromZygote>().initStarted();
    started.setProcessId(static_cast<uint32_t>(getpid()));
    started.initConditions().initFiles(1)[0].setPath(toData("/lib/libc.so"));
    send(message);
  }

  void send(capnp::MessageBuilder& message, const std::vector<int>& fds = {}) {
    if (!socket_.send(message, fds)) _exit(0);
  }

  PacketSocket socket_;
  const std::string name_;
  unsigned loaded_ = 0;
  unsigned linked_ = 0;
};

}  // namespace
}  // namespace splicehost::broker

int main(int argc, char* argv[]) {
  if (argc != 3 || strcmp(argv[1], "--zygote") != 0) return 2;
  splicehost::broker::FakeZygote(atoi(argv[2]), argv[0]).run();
}
