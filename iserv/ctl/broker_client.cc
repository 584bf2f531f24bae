#include "iserv/ctl/broker_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "iserv/base/runtime_directory.h"
#include "protocol/system.h"

namespace splicehost::ctl {

namespace {

using std::chrono::milliseconds;

// Lets whatever waits for the peer give up after this time.
Status limitWaiting(int fd, milliseconds patience) {
  timeval time = {.tv_sec = patience.count() / 1000, .tv_usec = patience.count() % 1000 * 1000};
  for (int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (setsockopt(fd, SOL_SOCKET, option, &time, sizeof time) != 0) return systemError("setsockopt");
  }
  return Done{};
}

}  // namespace

Result<BrokerPlace> BrokerPlace::of(const Installation& installation) {
  Result<std::string> directory = runtimeDirectory();
  if (!directory) return directory.error();
  Result<std::string> name = brokerSocketName(installation.broker());
  if (!name) return name.error().within("the broker's program");
  std::string socket = *directory + "/" + *name;
  return BrokerPlace{socket, socket + ".log"};
}

Result<BrokerPlace> BrokerPlace::own() {
  Result<Installation> installation = Installation::own();
  if (!installation) return installation.error();
  return of(*installation);
}

Result<std::vector<BrokerPlace>> BrokerPlace::all() {
  Result<BrokerPlace> ours = own();
  if (!ours) return ours.error();
  std::vector<BrokerPlace> places = {*ours};
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(ours->socket).parent_path(), error)) {
    std::string socket = entry.path();
    if (socket.ends_with(".socket") && socket != ours->socket) places.push_back({socket, socket + ".log"});
  }
  return places;
}

Result<std::optional<BrokerClient>> BrokerClient::connect(const std::string& socket, milliseconds patience) {
  Result<sockaddr_un> address = unixAddress(socket);
  if (!address) return address.error();

  kj::AutoCloseFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return systemError("socket");
  BrokerClient client(kj::mv(fd), patience);
  int connection = client.socket_.fd();
  if (Status limited = limitWaiting(connection, patience); !limited) return limited.error();
  if (::connect(connection, reinterpret_cast<sockaddr*>(&*address), sizeof *address) != 0) {
    // A broker that was killed leaves its socket behind.
    if (errno == ENOENT || errno == ECONNREFUSED) return std::optional<BrokerClient>();
    if (errno == EAGAIN) return client.slow("accept a connection");
    return systemError(socket);
  }
  Result<Peer> peer = peerOf(connection);
  if (!peer) return peer.error();
  if (peer->user != geteuid()) {
    return Error{"the broker at " + socket + " is of user " + std::to_string(peer->user) + ", not of " +
                 std::to_string(geteuid())};
  }
  client.processId_ = peer->processId;

  capnp::MallocMessageBuilder message;
  auto hello = message.initRoot<schema::ToBroker>().initHello();
  hello.setProtocolVersion(schema::BROKER_PROTOCOL_VERSION);
  hello.setProcessId(static_cast<uint32_t>(getpid()));
  // One that ends at this moment counts as not running.
  if (Status sent = client.send(message); !sent) return std::optional<BrokerClient>();
  Result<std::optional<PacketSocket::Packet>> answer = client.receive();
  if (!answer) return answer.error();
  if (!*answer) return std::optional<BrokerClient>();
  auto root = (*answer)->root<schema::FromBroker>();
  if (root.isRefused()) return Error{"the broker refuses: " + std::string(root.getRefused().cStr())};
  if (!root.isReady()) return Error{"the broker does not answer as it should"};
  return std::optional<BrokerClient>(kj::mv(client));
}

Result<BrokerStatus> BrokerClient::status() {
  capnp::MallocMessageBuilder message;
  message.initRoot<schema::ToBroker>().setStatus();
  if (Status sent = send(message); !sent) return sent.error();
  Result<std::optional<PacketSocket::Packet>> answer = receive();
  if (!answer) return answer.error();
  if (!*answer) return Error{"the broker has hung up"};
  if (!(*answer)->root<schema::FromBroker>().isStatus()) {
    return Error{"the broker does not answer as it should"};
  }
  return BrokerStatus(kj::mv(**answer));
}

bool BrokerClient::runs(const std::filesystem::path& program) const {
  std::error_code error;
  std::filesystem::path process = "/proc/" + std::to_string(processId_), own = "/proc/self";
  if (std::filesystem::read_symlink(process / "exe", error) != program) return false;
  for (const char* kind : {"ns/mnt", "ns/pid", "ns/user", "ns/net", "ns/ipc", "ns/uts", "root"}) {
    if (std::filesystem::read_symlink(process / kind, error) != std::filesystem::read_symlink(own / kind, error)) {
      return false;
    }
  }
  return true;
}

Status BrokerClient::stop() {
  // Names the process even when its id is in use again.
  kj::AutoCloseFd process(static_cast<int>(syscall(SYS_pidfd_open, processId_, 0)));
  if (process.get() < 0 && errno != ESRCH) return systemError("pidfd_open");
  capnp::MallocMessageBuilder message;
  message.initRoot<schema::ToBroker>().setStop();
  if (Status sent = send(message); !sent) return sent;
  for (;;) {
    Result<std::optional<PacketSocket::Packet>> answer = receive();
    if (!answer) return answer.error();
    if (!*answer) break;
  }
  if (process.get() < 0) return Done{};
  pollfd ended = {.fd = process.get(), .events = POLLIN, .revents = 0};
  int count = poll(&ended, 1, static_cast<int>(patience_.count()));
  if (count < 0) return systemError("poll");
  if (count == 0) return slow("end, though it has hung up,");
  return Done{};
}

Status BrokerClient::send(capnp::MessageBuilder& message) {
  Status sent = socket_.send(message);
  return sent ? sent : sent.error().within("the broker");
}

Result<std::optional<PacketSocket::Packet>> BrokerClient::receive() {
  auto packet = socket_.receive<schema::FromBroker>();
  if (!packet) return packet.error().within("the broker");
  if (!*packet && socket_.wouldBlock()) return slow("answer");
  return packet;
}

Error BrokerClient::slow(const std::string& what) const {
  std::string process = std::to_string(processId_);
  std::string who = processId_ == 0 ? "the broker" : "the broker (process " + process + ")";
  std::string advice = processId_ == 0 ? "" : "; to end it: kill -9 " + process;
  return Error{who + " does not " + what + " within " + std::to_string(patience_.count()) + " ms" + advice};
}

Result<std::vector<BrokerClient>> runningBrokers() {
  Result<std::vector<BrokerPlace>> places = BrokerPlace::all();
  if (!places) return places.error();
  std::vector<BrokerClient> running;
  std::error_code error;
  Result<Installation> installation = Installation::own();
  if (!installation) return installation.error();
  std::filesystem::path program = std::filesystem::canonical(installation->broker(), error);
  for (const BrokerPlace& place : *places) {
    bool isOwn = &place == &places->front();
    Result<std::optional<BrokerClient>> client = BrokerClient::connect(place.socket);
    if (!client && isOwn) return client.error();
    if (!client || !*client) continue;
    if (isOwn || (*client)->runs(program)) running.push_back(kj::mv(**client));
  }
  return running;
}

Result<std::optional<BrokerStatus>> brokerStatus() {
  Result<BrokerPlace> place = BrokerPlace::own();
  if (!place) return place.error();
  Result<std::optional<BrokerClient>> client = BrokerClient::connect(place->socket);
  if (!client) return client.error();
  if (!*client) return std::optional<BrokerStatus>();
  Result<BrokerStatus> status = (*client)->status();
  if (!status) return status.error();
  return std::optional<BrokerStatus>(kj::mv(*status));
}

}  // namespace splicehost::ctl
