#include "iserv/front_end/broker_connection.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "iserv/base/notice.h"
#include "iserv/base/process_context.h"
#include "iserv/base/process_identity.h"
#include "iserv/base/runtime_directory.h"
#include "linker/file_system.h"
#include "protocol/ghc_binary.h"
#include "protocol/ghc_messages.h"
#include "protocol/patience.h"
#include "protocol/system.h"
#include "protocol/text.h"

namespace splicehost {

namespace {

// How long the broker may take for an answer that it has ready. It is bypassed then.
constexpr uint64_t kAnswerPatienceMs = 1000;
// How long for a session: its zygote may have to start and to fork.
constexpr uint64_t kSessionPatienceMs = 5000;
// Symbols in a report. A session at GHCi's prompt can go on for days.
constexpr size_t kMaxSymbols = 4096;

std::string_view view(capnp::Data::Reader data) { return {data.asChars().begin(), data.size()}; }

std::string_view baseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Variables that matter before a session can have its own environment.
bool mattersAtStart(std::string_view variable) {
  for (std::string_view prefix :
       {"LD_", "LC_", "LANG", "LOCPATH=", "NLSPATH=", "GCONV_PATH=", "MALLOC_", "GLIBC_TUNABLES="}) {
    if (variable.starts_with(prefix)) return true;
  }
  return false;
}

// The loader of an interpreter that the broker starts is in another directory than the client's. An empty path is the
// working directory; a name without a slash in the other variables is one that is searched for (ld.so(8)).
std::string withAbsolutePaths(std::string_view variable, const std::string& directory) {
  bool isPath = variable.starts_with("LD_LIBRARY_PATH=");
  if (!isPath && !variable.starts_with("LD_PRELOAD=") && !variable.starts_with("LD_AUDIT=")) {
    return std::string(variable);
  }
  size_t begin = variable.find('=') + 1;
  std::string result(variable.substr(0, begin));
  // Nothing is not one empty path.
  if (begin == variable.size()) return result;
  for (;;) {
    size_t end = std::min(variable.find_first_of(isPath ? ":;" : ": ", begin), variable.size());
    std::string_view word = variable.substr(begin, end - begin);
    bool isRelative = !word.starts_with('/') && !word.starts_with('$');
    if (isRelative && (isPath || word.find('/') != word.npos)) result += directory + (word.empty() ? "" : "/");
    result += word;
    if (end == variable.size()) return result;
    result += variable[end];
    begin = end + 1;
  }
}

// The broker outlives this client, and has no need of what else its environment holds.
std::vector<std::string> brokersEnvironment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    for (std::string_view prefix :
         {"HOME=", "XDG_RUNTIME_DIR=", "XDG_CONFIG_HOME=", "XDG_CACHE_HOME=", "TMPDIR=", "ISERV_"}) {
      if (std::string_view(*variable).starts_with(prefix)) variables.emplace_back(*variable);
    }
  }
  return variables;
}

int64_t nanoseconds(const statx_timestamp& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// The records have only signatures that prove what is in a file. So nobody need know what the file system is.
bool hasSignatureOf(schema::Trie::Node::Reader node, const struct statx& status) {
  for (auto signature : node.getSignatures()) {
    if (signature.getDevice() == makedev(status.stx_dev_major, status.stx_dev_minor) &&
        signature.getInode() == status.stx_ino && signature.getSize() == status.stx_size &&
        signature.getModified() == nanoseconds(status.stx_mtime) &&
        signature.getChanged() == nanoseconds(status.stx_ctime) && signature.getMount() == status.stx_mnt_id) {
      return true;
    }
  }
  return false;
}

bool isNamedAs(schema::LoadOperation::Reader recorded, const std::string& path, uint32_t relative) {
  return view(recorded.getFile()) == path && recorded.getRelative() == relative;
}

// Fails with errno, of which ENOENT and ECONNREFUSED mean that no broker is there.
Result<kj::AutoCloseFd> connectTo(const std::string& path) {
  // A broker that hangs does not accept, and connecting would wait for it.
  kj::AutoCloseFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return systemError("this process may have no sockets");
  Result<sockaddr_un> address = unixAddress(path);
  if (!address) return address.error();
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) != 0) {
    return systemError(path);
  }
  Result<Peer> peer = peerOf(fd.get());
  if (!peer) return peer.error();
  if (peer->user != geteuid()) {
    return Error{path + " is served by user " + std::to_string(peer->user)};
  }
  // Who is confined by itself need not be told so in each compile.
  if (!isWithinReach(peer->processId)) return Error{""};
  return fd;
}

}  // namespace

// The broker's records, in memory that the broker cannot change any more.
struct BrokerConnection::Records {
  Records(void* memory, size_t bytes)
      : mapping{memory, bytes},
        reader({static_cast<const capnp::word*>(memory), bytes / sizeof(capnp::word)}, {UINT64_MAX, 8}),
        nodes(reader.getRoot<schema::Trie>().getNodes()) {}

  struct Mapping {
    void* memory;
    size_t bytes;
    ~Mapping() { munmap(memory, bytes); }
  } mapping;
  capnp::FlatArrayMessageReader reader;
  capnp::List<schema::Trie::Node>::Reader nodes;
};

BrokerConnection::BrokerConnection(PacketSocket broker, std::optional<FileView> view, Attention& attention)
    : broker_(kj::mv(broker)), view_(std::move(view)), attention_(attention) {}

BrokerConnection::~BrokerConnection() = default;

Result<std::unique_ptr<BrokerConnection>> BrokerConnection::open(const InterpreterProgram& program,
                                                                 Attention& attention) {
  if (hasOwnFilter()) return Error{""};
  Result<std::string> directory = runtimeDirectory();
  if (!directory) return directory.error();
  Result<std::string> name = brokerSocketName(program.broker);
  if (!name) return name.error();
  std::string path = *directory + "/" + *name;
  Result<kj::AutoCloseFd> socket = connectTo(path);
  if (!socket && (errno == ENOENT || errno == ECONNREFUSED)) {
    // It comes back when a broker accepts connections.
    Child starter(program.broker, {program.broker}, brokersEnvironment());
    if (!starter.started()) return starter.started().error();
    Child::Exit exit = starter.wait(kSessionPatienceMs, &attention);
    if (exit.status != 0 || exit.signal != 0) return Error{""};
    socket = connectTo(path);
  }
  if (!socket) {
    std::string reason = socket.error().message;
    bool isTold = reason.empty() || attention.cancelled() || !isNews(path, reason);
    return Error{isTold ? "" : reason};
  }

  std::unique_ptr<BrokerConnection> shared(
      new BrokerConnection(PacketSocket(kj::mv(*socket)), program.view, attention));
  if (Status greeted = shared->hello(program); !greeted) return greeted.error();
  return shared;
}

Status BrokerConnection::hello(const InterpreterProgram& program) {
  std::unique_ptr<char, decltype(&free)> directory(getcwd(nullptr, 0), &free);
  if (!directory) return systemError("the working directory");
  directory_ = directory.get();

  capnp::MallocMessageBuilder builder;
  auto hello = builder.initRoot<schema::ToBroker>().initHello();
  hello.setProtocolVersion(schema::BROKER_PROTOCOL_VERSION);
  hello.setProcessId(static_cast<uint32_t>(getpid()));
  auto key = hello.initInterpreter();
  key.setProgram(toData(program.path));
  key.setProgramName(toData(program.name));
  key.setGhcVersion(program.ghcVersion);
  key.setWay(program.way);
  key.setBuildIdentity(program.identity);
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (mattersAtStart(*variable)) variables.push_back(withAbsolutePaths(*variable, directory_));
  }
  std::sort(variables.begin(), variables.end());
  auto environment = key.initEnvironment(static_cast<uint32_t>(variables.size()));
  for (uint32_t i = 0; i < variables.size(); ++i) environment.set(i, toData(variables[i]));
  return broker_.send(builder);
}

Status BrokerConnection::awaitRecords() {
  if (records_) return Done{};
  auto packet = receive(kAnswerPatienceMs);
  if (!packet) return packet.error();
  auto answer = (*packet)->root<schema::FromBroker>();
  if (answer.isRefused() && answer.getRefused().size() == 0) return Error{""};
  if (answer.isRefused()) return Error{std::string("the broker refuses: ") + answer.getRefused().cStr()};
  if (!answer.isTrie() || (*packet)->fds.size() != 1) return Error{"the broker sent no records"};
  size_t bytes = answer.getTrie();
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, (*packet)->fds[0].get(), 0);
  if (memory == MAP_FAILED) return systemError("the broker's records");
  try {
    records_ = std::make_unique<Records>(memory, bytes);
  } catch (const kj::Exception& e) {
    return Error{std::string("the broker's records: ") + e.getDescription().cStr()};
  }
  if (records_->nodes.size() == 0) return Error{"the broker's records are empty"};
  return Done{};
}

// The broker's next message, which there must be.
Result<std::optional<PacketSocket::Packet>> BrokerConnection::receive(uint64_t patienceMs) {
  pollfd fds[] = {{broker_.fd(), POLLIN, 0}};
  AdaptivePolling wait(&attention_);
  int ready = Patience(patienceMs).wait([&](int milliseconds) { return wait.poll(fds, milliseconds); });
  if (ready < 0) return systemError("waiting for the broker");
  if (ready == 0) return Error{"the broker does not answer"};
  auto packet = broker_.receive<schema::FromBroker>();
  if (packet && !*packet) return Error{"the broker is gone"};
  return packet;
}

std::optional<BrokerConnection::Operation> BrokerConnection::operationOf(schema::Request::Reader request) const {
  auto withFile = [this](schema::LoadKind kind, capnp::Text::Reader text) {
    std::string file = ghc::fileName({text.begin(), text.size()});
    // The system's linker searches for a shared object whose name has no slash.
    bool relative =
        !file.starts_with('/') && (kind != schema::LoadKind::LOAD_DLL || file.find('/') != std::string::npos);
    bool isSeen = relative && kind == schema::LoadKind::LOAD_DLL;
    return Operation{kind, file, relative ? directory_ + "/" + file : file,
                     isSeen ? static_cast<uint32_t>(directory_.size() + 1) : 0};
  };
  switch (request.which()) {
    case schema::Request::INIT_LINKER:
      return Operation{schema::LoadKind::INIT_LINKER, "", ""};
    case schema::Request::RESOLVE_OBJS:
      return Operation{schema::LoadKind::RESOLVE_OBJS, "", ""};
    case schema::Request::LOAD_ARCHIVE:
      return withFile(schema::LoadKind::LOAD_ARCHIVE, request.getLoadArchive());
    case schema::Request::LOAD_OBJ:
      return withFile(schema::LoadKind::LOAD_OBJ, request.getLoadObj());
    case schema::Request::LOAD_DLL: {
      Operation operation = withFile(schema::LoadKind::LOAD_DLL, request.getLoadDll());
      // What GHC links home modules into, anew for each splice (GHC.Runtime.Linker, dynLoadObjs, 9.0.2),
      // is never asked for again.
      if (baseName(operation.file).starts_with("libghc_")) return std::nullopt;
      return operation;
    }
    default:
      return std::nullopt;
  }
}

bool BrokerConnection::answerLoad(schema::Request::Reader request, schema::Reply::Builder reply) {
  std::optional<Operation> operation = operationOf(request);
  if (!operation) return false;
  try {
    if (!follow(*operation)) return false;
  } catch (const kj::Exception&) {
    // Records that are no good record nothing.
    return false;
  }
  operations_.push_back(std::move(*operation));
  // Whatever comes next needs a session. If none can be ordered, attach() will say why.
  if (records_->nodes[node_].getChildren().size() == 0) (void)order().ok();
  // Only what succeeds is recorded.
  switch (operations_.back().kind) {
    case schema::LoadKind::LOAD_DLL:
      reply.initLoadedDll().setHandle(ghc::sharedObjectHandle(operations_.back().path));
      break;
    case schema::LoadKind::RESOLVE_OBJS:
      reply.setBool(true);
      break;
    default:
      reply.setDone();
  }
  return true;
}

// Goes to the child of this node to which the operation leads, if there is one.
bool BrokerConnection::follow(const Operation& operation) {
  struct statx status;
  bool hasFile = operation.path.find('/') != std::string::npos;
  if (hasFile && !linker::examine(AT_FDCWD, operation.path.c_str(), status)) return false;
  std::vector<uint32_t> candidates;
  for (uint32_t child : records_->nodes[node_].getChildren()) {
    auto node = records_->nodes[child];
    if (node.getOperation().getKind() != operation.kind) continue;
    if (node.getBound() && !isNamedAs(node.getOperation(), operation.path, operation.relative)) continue;
    bool same = hasFile ? hasSignatureOf(node, status) : view(node.getOperation().getFile()) == operation.path;
    if (same) {
      node_ = child;
      return true;
    }
    if (hasFile && node.getSha256().size() > 0) candidates.push_back(child);
  }
  if (candidates.empty()) return false;
  // The same content may lie in another file.
  std::string sha256 = identify(operation.path);
  for (uint32_t child : candidates) {
    if (view(records_->nodes[child].getSha256()) != sha256) continue;
    node_ = child;
    return true;
  }
  return false;
}

// A file's content, or nothing.
std::string BrokerConnection::identify(const std::string& path) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<schema::ToBroker>().setIdentify(toData(path));
  if (!broker_.send(builder)) return "";
  auto packet = receive(kSessionPatienceMs);
  if (!packet) return "";
  auto answer = (*packet)->root<schema::FromBroker>();
  if (!answer.isIdentity() || !answer.getIdentity().isSha256()) return "";
  return std::string(view(answer.getIdentity().getSha256()));
}

void BrokerConnection::replay(bool everything, const std::function<void(capnp::MessageBuilder&)>& send) {
  capnp::MallocMessageBuilder placed;
  if (placed_.fill(placed.initRoot<schema::ToInterpreter>().initRequest(), everything)) send(placed);
  if (!everything) return;
  for (const Operation& operation : operations_) {
    capnp::MallocMessageBuilder builder;
    auto request = builder.initRoot<schema::ToInterpreter>().initRequest();
    switch (operation.kind) {
      case schema::LoadKind::INIT_LINKER:
        request.setInitLinker();
        break;
      case schema::LoadKind::RESOLVE_OBJS:
        request.setResolveObjs();
        break;
      case schema::LoadKind::LOAD_DLL:
        request.setLoadDll(operation.file);
        break;
      case schema::LoadKind::LOAD_ARCHIVE:
        request.setLoadArchive(operation.file);
        break;
      case schema::LoadKind::LOAD_OBJ:
        request.setLoadObj(operation.file);
        break;
    }
    send(builder);
  }
}

Result<kj::AutoCloseFd> BrokerConnection::attach() {
  if (ordered_ == nullptr) {
    if (Status ordered = order(); !ordered) return ordered.error();
  }
  return kj::mv(ordered_);
}

Status BrokerConnection::order() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return systemError("socketpair");
  kj::AutoCloseFd own(ends[0]);
  kj::AutoCloseFd session(ends[1]);

  capnp::MallocMessageBuilder builder;
  auto attach = builder.initRoot<schema::ToBroker>().initAttach();
  attach.setNode(records_->nodes[node_].getId());
  attach.setLike(zygote_);
  if (view_) describe(*view_, attach.initView());
  auto files = attach.initFiles(static_cast<uint32_t>(operations_.size()));
  for (uint32_t i = 0; i < files.size(); ++i) files.set(i, toData(operations_[i].file));
  std::vector<int> fds = {session.get()};
  auto directory = describeProcessContext(attach, fds);
  if (!directory) return directory.error();
  if (!canBeAdopted(attach)) return Error{"a shared interpreter cannot keep to a limit of memory"};
  if (Status sent = broker_.send(builder, fds); !sent) return sent;
  ordered_ = kj::mv(own);
  return Done{};
}

Status BrokerConnection::awaitSession() {
  auto packet = receive(kSessionPatienceMs);
  if (!packet) return packet.error();
  auto answer = (*packet)->root<schema::FromBroker>();
  if (answer.isRefused()) return Error{std::string("the broker refuses: ") + answer.getRefused().cStr()};
  if (!answer.isAttached()) return Error{"the broker provided no session"};
  // In this process's own group the terminal interrupts it.
  session_ = static_cast<pid_t>(answer.getAttached().getSession());
  hasOwnGroup_ = !hasTerminal();
  zygote_ = answer.getAttached().getZygote();
  return Done{};
}

void BrokerConnection::killSession() const { kill(session_, SIGKILL); }

Result<kj::AutoCloseFd> BrokerConnection::attachAgain(const InterpreterProgram& program) {
  auto again = open(program, attention_);
  if (!again) return again.error();
  if (Status records = (*again)->awaitRecords(); !records) return records.error();
  for (const Operation& operation : operations_) {
    if (!(*again)->follow(operation)) return Error{operation.file + " has changed"};
  }
  broker_ = kj::mv((*again)->broker_);
  records_ = std::move((*again)->records_);
  node_ = (*again)->node_;
  again->reset();
  return attach();
}

void BrokerConnection::noteRequest(schema::Request::Reader request) {
  if (noting_ == Noting::kNothing || request.isMallocData() || request.isMallocStrings()) return;
  std::optional<Operation> operation = operationOf(request);
  if (operation && noting_ == Noting::kLoads) {
    loaded_.push_back(std::move(*operation));
  } else if (operation) {
    // Symbols from here on are found at another place.
    noting_ = Noting::kNothing;
  } else if (noting_ == Noting::kLoads) {
    noting_ = Noting::kSymbols;
    // The broker can begin now.
    if (!loaded_.empty()) sendReport(false);
  }
}

void BrokerConnection::noteSymbol(const std::string& symbol) {
  if (noting_ == Noting::kSymbols && symbols_.size() < kMaxSymbols) symbols_.push_back(symbol);
}

void BrokerConnection::report() {
  if (!symbols_.empty()) sendReport(true);
}

void BrokerConnection::sendReport(bool symbols) {
  capnp::MallocMessageBuilder builder;
  auto report = builder.initRoot<schema::ToBroker>().initReport();
  report.setNode(records_->nodes[node_].getId());
  auto operations = report.initOperations(static_cast<uint32_t>(loaded_.size()));
  for (uint32_t i = 0; i < operations.size(); ++i) {
    operations[i].setKind(loaded_[i].kind);
    operations[i].setFile(toData(loaded_[i].path));
    operations[i].setRelative(loaded_[i].relative);
  }
  if (symbols) {
    auto list = report.initSymbols(static_cast<uint32_t>(symbols_.size()));
    for (uint32_t i = 0; i < list.size(); ++i) list.set(i, symbols_[i]);
  }
  // Without the broker there is nobody to tell.
  (void)broker_.send(builder).ok();
}

void BrokerConnection::interrupt() const {
  if (hasOwnGroup_) kill(-session_, SIGINT);
}

std::optional<Child::Exit> BrokerConnection::sessionEnd(uint64_t patienceMs) {
  for (;;) {
    auto packet = receive(patienceMs);
    if (!packet) return std::nullopt;
    auto message = (*packet)->root<schema::FromBroker>();
    if (!message.isSessionEnded()) continue;
    return Child::Exit{message.getSessionEnded().getStatus(), message.getSessionEnded().getSignal()};
  }
}

}  // namespace splicehost
