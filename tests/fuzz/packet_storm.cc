// Clients of a broker that runs, in good conversations with bad packets in them, as many as one likes. The broker has
// to outlive that, and must need no more memory and descriptors at the end than when all of it had been tried once.
//
// A conversation is a hello and what a client may say after it: attaches, reports, paths to identify, status. Some of
// its packets are changed, as messages (other numbers, paths, and nodes), as words (pointers, sizes), or as bytes; and
// some come with fds that are not what they should be. A `stop` is never sent, since it would be obeyed.

#include <capnp/any.h>
#include <capnp/serialize.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "protocol/broker.capnp.h"
#include "protocol/connection.h"
#include "protocol/message_check.h"
#include "protocol/packet_socket.h"
#include "protocol/text.h"

namespace splicehost {
namespace {

using Words = kj::Array<capnp::word>;

// How long an answer may take.
constexpr timeval kPatience = {30, 0};
// At the same time.
constexpr size_t kConversations = 64;
// Of a conversation.
constexpr unsigned kMostPackets = 64;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "packet_storm: %s\n", why.c_str());
  std::exit(1);
}

// What is told of a process by /proc.
struct Use {
  size_t fds = 0;
  size_t residentKiB = 0;
};

Use useOf(pid_t process) {
  Use use;
  std::string directory = "/proc/" + std::to_string(process);
  DIR* fds = opendir((directory + "/fd").c_str());
  if (fds == nullptr) fail("the broker is gone");
  while (readdir(fds) != nullptr) ++use.fds;
  closedir(fds);
  std::ifstream status(directory + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) use.residentKiB = std::strtoul(line.c_str() + 6, nullptr, 10);
  }
  return use;
}

class Storm {
 public:
  Storm(std::string socket, std::string interpreter, std::string version, std::string library, unsigned seed)
      : socket_(std::move(socket)),
        interpreter_(std::move(interpreter)),
        version_(std::move(version)),
        library_(std::move(library)),
        random_(seed),
        null_(open("/dev/null", O_RDWR | O_CLOEXEC)),
        directory_(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)),
        memory_(memfd_create("storm", MFD_CLOEXEC)) {}

  uint64_t changed() const { return changed_; }
  uint64_t sent() const { return sent_; }
  uint64_t conversations() const { return begun_; }

  // Who the broker is. Fails if it does not say so.
  pid_t broker() {
    kj::AutoCloseFd fd = connect();
    PacketSocket client(kj::mv(fd));
    auto ask = [&](capnp::MessageBuilder& message) {
      if (!client.send(message)) fail("the broker takes no message");
      auto answer = client.receive<schema::FromBroker>();
      if (!answer || !*answer) fail("the broker does not answer");
      return kj::mv(**answer);
    };
    capnp::MallocMessageBuilder hello, status;
    hello.initRoot<schema::ToBroker>().initHello().setProtocolVersion(schema::BROKER_PROTOCOL_VERSION);
    ask(hello);
    status.initRoot<schema::ToBroker>().setStatus();
    auto answer = ask(status);
    if (!answer.root<schema::FromBroker>().isStatus()) fail("the broker does not say what it does");
    return static_cast<pid_t>(answer.root<schema::FromBroker>().getStatus().getProcessId());
  }

  // One packet in each of the conversations.
  void goOn() {
    for (Conversation& conversation : conversing_) {
      awaitTaken(conversation);
      if (conversation.client.get() < 0 || !say(conversation)) conversation = begin();
    }
  }

 private:
  struct Conversation {
    kj::AutoCloseFd client;  // none if there is nothing more to say
    unsigned packets = 0;
    uint64_t root = 0, node = 0;
    std::vector<kj::AutoCloseFd> streams;
  };

  Conversation begin() {
    ++begun_;
    Conversation conversation;
    kj::AutoCloseFd client = connect();
    capnp::MallocMessageBuilder hello;
    makeHello(hello.initRoot<schema::ToBroker>().initHello());
    // Most are good, so that there is something to say after them; and one that is new has an interpreter started.
    if (send(client.get(), hello, {}, oneIn(300)) && greeted(client.get(), conversation)) {
      conversation.client = kj::mv(client);
    }
    return conversation;
  }

  // False if the conversation has come to its end.
  bool say(Conversation& conversation) {
    if (++conversation.packets > kMostPackets) return false;
    drain(conversation.client.get());
    capnp::MallocMessageBuilder message;
    std::vector<int> fds;
    makeMessage(conversation, message.initRoot<schema::ToBroker>(), fds);
    return send(conversation.client.get(), message, fds, !oneIn(10));
  }

  // Waits until the broker has taken what was sent: what it has not read when it hangs up was not tried.
  static void awaitTaken(const Conversation& conversation) {
    int left = 0;
    while (conversation.client.get() >= 0 && ioctl(conversation.client.get(), SIOCOUTQ, &left) == 0 && left > 0) {
      sched_yield();
    }
  }

  bool oneIn(unsigned count) { return random_() % count == 0; }

  kj::AutoCloseFd connect() {
    kj::AutoCloseFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    socket_.copy(address.sun_path, sizeof address.sun_path - 1);
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      fail("the broker is gone: " + std::string(std::strerror(errno)));
    }
    return fd;
  }

  // The answer to the hello; the trie says where a conversation can begin.
  bool greeted(int client, Conversation& conversation) {
    PacketSocket socket(kj::AutoCloseFd(dup(client)));
    auto answer = socket.receive<schema::FromBroker>();
    if (!answer || !*answer || !(*answer)->root<schema::FromBroker>().isTrie()) return false;
    if ((*answer)->fds.size() != 1) fail("records without memory");
    size_t size = (*answer)->root<schema::FromBroker>().getTrie();
    auto words = kj::heapArray<capnp::word>(size / sizeof(capnp::word));
    if (pread((*answer)->fds[0].get(), words.begin(), size, 0) != static_cast<ssize_t>(size)) fail("no records");
    capnp::FlatArrayMessageReader reader(words, kCheckedMessage);
    auto nodes = reader.getRoot<schema::Trie>().getNodes();
    conversation.node = nodes[random_() % nodes.size()].getId();
    conversation.root = nodes[0].getId();
    return true;
  }

  // Takes what answers there are, and does not wait for more.
  void drain(int client) {
    char buffer[256];
    for (;;) {
      alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))];
      iovec part = {buffer, sizeof buffer};
      msghdr header = {};
      header.msg_iov = &part;
      header.msg_iovlen = 1;
      header.msg_control = control;
      header.msg_controllen = sizeof control;
      if (recvmsg(client, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) return;
      for (cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr; rights = CMSG_NXTHDR(&header, rights)) {
        size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
          int fd;
          std::memcpy(&fd, CMSG_DATA(rights) + i * sizeof fd, sizeof fd);
          close(fd);
        }
      }
    }
  }

  std::string path() {
    switch (random_() % 6) {
      case 0:
        return "/dev/zero";
      case 1:
        return "/proc/kmsg";
      case 2:
        return std::string(random_() % 5000, 'x');
      case 3:
        return "/nonexistent/" + std::to_string(random_() % 1000);
      default:
        return library_;
    }
  }

  void makeHello(schema::BrokerClientHello::Builder hello) {
    hello.setProtocolVersion(schema::BROKER_PROTOCOL_VERSION);
    hello.setProcessId(static_cast<uint32_t>(getpid()));
    auto key = hello.initInterpreter();
    key.setProgram(toData(interpreter_));
    key.setProgramName(toData(interpreter_));
    key.setGhcVersion(version_);
    key.setBuildIdentity("storm");
    auto environment = key.initEnvironment(2);
    environment.set(0, toData("LANG=C"));
    environment.set(1, toData(random_() % 2 == 0 ? "LC_ALL=C.UTF-8" : "LC_ALL=C"));
  }

  void makeMessage(Conversation& conversation, schema::ToBroker::Builder message, std::vector<int>& fds) {
    unsigned kind = random_() % 1000;
    if (kind < 3) {
      makeAttach(conversation, message.initAttach(), fds);
    } else if (kind < 200) {
      makeReport(conversation, message.initReport());
    } else if (kind == 200 && oneIn(5)) {
      message.setStatus();
    } else if (kind < 210) {
      makeHello(message.initHello());
    } else {
      message.setIdentify(toData(path()));
    }
    if (!oneIn(20)) return;
    for (unsigned count = random_() % 10; count > 0; --count) {
      int any[] = {null_.get(), directory_.get(), memory_.get()};
      fds.push_back(any[random_() % 3]);
    }
  }

  void makeAttach(Conversation& conversation, schema::Attach::Builder attach, std::vector<int>& fds) {
    attach.setNode(oneIn(4) ? random_() % 100 : conversation.node);
    attach.initFiles(random_() % 3);
    auto environment = attach.initEnvironment(2);
    environment.set(0, toData("PATH=/bin"));
    environment.set(1, toData("HOME=/"));
    attach.setUmask(022);
    attach.initLimits(2)[0].setResource(7);
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET(0, &processors);
    attach.setProcessors({reinterpret_cast<const capnp::byte*>(&processors), sizeof processors});
    if (oneIn(4)) attach.initView().setRoot(toData("/nonexistent"));
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("no socket pair");
    for (int end : ends) conversation.streams.emplace_back(end);
    fds = {ends[1], directory_.get(), null_.get(), null_.get(), null_.get()};
  }

  void makeReport(const Conversation& conversation, schema::Report::Builder report) {
    report.setNode(oneIn(4) ? random_() : conversation.root);
    auto operations = report.initOperations(oneIn(100) ? 2 : 0);
    if (operations.size() > 0) {
      operations[0].setKind(schema::LoadKind::INIT_LINKER);
      operations[1].setKind(oneIn(3) ? schema::LoadKind::LOAD_DLL : schema::LoadKind::LOAD_ARCHIVE);
      operations[1].setFile(toData(path()));
    }
    auto symbols = report.initSymbols(random_() % 4);
    for (uint32_t i = 0; i < symbols.size(); ++i) symbols.set(i, "symbol" + std::to_string(random_() % 50));
  }

  // Changes words or bytes of a message.
  void change(Words& words) {
    auto* numbers = reinterpret_cast<uint64_t*>(words.begin());
    for (unsigned changes = 1 + random_() % 3; changes > 0; --changes) {
      uint64_t& word = numbers[random_() % words.size()];
      uint64_t random = random_();
      switch (random % 6) {
        case 0:
          word ^= uint64_t{1} << (random_() % 64);
          break;
        case 1:
          word = numbers[random_() % words.size()];
          break;
        case 2:
          // A pointer to somewhere near, of some kind, with a size that is possible.
          word = (uint64_t{random_() % 64} << 32) | ((random_() % 16) << 2) | random_() % 4;
          break;
        case 3:
          // A list of a great many elements that take no space.
          word = (uint64_t{0xffffffff} << 35) | ((random_() % 8) << 32) | ((random_() % 16) << 2) | 1;
          break;
        case 4:
          word = (uint64_t{random_()} << 32) | random_();
          break;
        case 5:
          words.asBytes()[random_() % words.asBytes().size()] = static_cast<capnp::byte>(random_());
          break;
      }
    }
    if (oneIn(20)) words = firstOf(words, random_() % words.size());
  }

  static Words firstOf(const Words& words, size_t count) {
    auto first = kj::heapArray<capnp::word>(count);
    std::memcpy(first.asBytes().begin(), words.asBytes().begin(), first.asBytes().size());
    return first;
  }

  static bool isStop(const Words& words) {
    if (!checkMessage(words, capnp::Schema::from<schema::ToBroker>())) return false;
    capnp::FlatArrayMessageReader reader(words, kCheckedMessage);
    return reader.getRoot<schema::ToBroker>().isStop();
  }

  // False if the broker has hung up.
  bool send(int client, capnp::MessageBuilder& message, const std::vector<int>& fds, bool changes) {
    Words words = capnp::messageToFlatArray(message);
    if (changes) {
      Words good = firstOf(words, words.size());
      do {
        words = firstOf(good, good.size());
        change(words);
      } while (isStop(words));
    }
    uint64_t where = changes && oneIn(100) ? random_() % 3 : 0;
    std::vector<int> all = fds;
    kj::AutoCloseFd memory;
    if (where == 1 || (changes && oneIn(100))) {
      where = 1;
      memory = kj::AutoCloseFd(memfd_create("storm", MFD_CLOEXEC | MFD_ALLOW_SEALING));
      auto bytes = words.asBytes();
      if (!writeAll(memory.get(), {reinterpret_cast<const std::byte*>(bytes.begin()), bytes.size()})) fail("no memory");
      if (!oneIn(10)) fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
      all.push_back(memory.get());
      words = nullptr;
    }
    if (!sendPacket(client, where, std::as_bytes(std::span(words.begin(), words.size())), all)) return false;
    ++sent_;
    changed_ += changes ? 1 : 0;
    return true;
  }

  const std::string socket_, interpreter_, version_, library_;
  std::mt19937 random_;
  kj::AutoCloseFd null_, directory_, memory_;
  std::vector<Conversation> conversing_ = std::vector<Conversation>(kConversations);
  uint64_t changed_ = 0, sent_ = 0, begun_ = 0;
};

int main(int argc, char* argv[]) {
  if (argc != 7) fail("usage: packet_storm SOCKET INTERPRETER GHC-VERSION LIBRARY PACKETS SEED");
  uint64_t wanted = std::strtoull(argv[5], nullptr, 10);
  Storm storm(argv[1], argv[2], argv[3], argv[4], static_cast<unsigned>(std::strtoul(argv[6], nullptr, 10)));
  pid_t broker = storm.broker();
  Use half;
  for (uint64_t tenth = 1; tenth <= 10; ++tenth) {
    uint64_t next = wanted * tenth / 10;
    while (storm.changed() < next) storm.goOn();
    if (storm.broker() != broker) fail("the broker has died");
    // Whoever has just hung up may not be noticed yet.
    usleep(300'000);
    Use use = useOf(broker);
    if (tenth <= 5) half = use;
    std::printf("%llu changed packets of %llu, %llu conversations: %zu descriptors, %zu KiB\n",
                static_cast<unsigned long long>(storm.changed()), static_cast<unsigned long long>(storm.sent()),
                static_cast<unsigned long long>(storm.conversations()), use.fds, use.residentKiB);
    std::fflush(stdout);
    if (tenth < 10) continue;
    if (use.fds > half.fds + 100) fail("descriptors are left open");
    if (use.residentKiB > half.residentKiB + half.residentKiB / 4 + 8192) fail("memory is not given back");
  }
  return 0;
}

}  // namespace
}  // namespace splicehost

int main(int argc, char* argv[]) { return splicehost::main(argc, argv); }
