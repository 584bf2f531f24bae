// splicehost-target: the interpreter's side on a machine that has no GHC.

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>

#include "iserv/front_end/front_end.h"
#include "iserv/remote/connect.h"
#include "iserv/remote/secret_file.h"
#include "iserv/remote/target.h"
#include "iserv/remote/tls.h"
#include "protocol/attention.h"
#include "protocol/system.h"

namespace splicehost::remote {
namespace {

constexpr char kUsage[] =
    "usage: splicehost-target [options]\n"
    "\n"
    "Runs splices for a GHC on another machine. Without --listen its standard input and output are the\n"
    "connection: start it with  iserv --via 'ssh board /path/to/splicehost-target'.\n"
    "\n"
    "  --listen unix:PATH | tcp:HOST:PORT   serve whoever connects there\n"
    "  --token-file FILE                    what a front end must have; needed for tcp:\n"
    "  --certificate FILE --key FILE        PEM files, for TLS; needed for tcp: on anything but loopback\n"
    "  --cache DIRECTORY                       where libraries are kept (default: $XDG_CACHE_HOME/splicehost,\n"
    "                                       ~/.cache/splicehost, or else /tmp/splicehost-cache-<user id>)\n"
    "  --cache-size BYTES                   how much at the most, with K, M or G (default: 4G)\n";

// Of those who connect at the same time; more wait.
constexpr int kBacklog = 64;
constexpr std::chrono::milliseconds kHandshakePatience{15'000};

struct Options {
  TargetOptions target;
  std::string listen;
  std::string tokenFile;
  std::string certificate;
  std::string key;
};

int complain(const std::string& message) {
  std::fprintf(stderr, "splicehost-target: %s\n", message.c_str());
  return 1;
}

std::string defaultCache() {
  auto variable = [](const char* name) {
    const char* value = getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (std::string directory = variable("XDG_CACHE_HOME"); directory.starts_with('/')) return directory + "/splicehost";
  if (std::string home = variable("HOME"); home.starts_with('/') && access(home.c_str(), W_OK) == 0) {
    return home + "/.cache/splicehost";
  }
  return "/tmp/splicehost-cache-" + std::to_string(geteuid());
}

Status parse(int argc, char* argv[], Options& options) {
  options.target.cache = defaultCache();
  for (int i = 1; i < argc; i += 2) {
    std::string_view word = argv[i];
    if (i + 1 >= argc) return Error{"unknown option, or one without its value: " + std::string(word)};
    std::string value = argv[i + 1];
    if (word == "--listen") {
      options.listen = value;
    } else if (word == "--token-file") {
      options.tokenFile = value;
    } else if (word == "--certificate") {
      options.certificate = value;
    } else if (word == "--key") {
      options.key = value;
    } else if (word == "--cache") {
      options.target.cache = std::filesystem::absolute(value);
    } else if (word == "--cache-size") {
      std::string_view digits = value;
      int shift = digits.ends_with('K') ? 10 : digits.ends_with('M') ? 20 : digits.ends_with('G') ? 30 : 0;
      if (shift != 0) digits.remove_suffix(1);
      uint64_t number = 0;
      auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (error != std::errc() || end != digits.data() + digits.size() || number == 0 || number > UINT64_MAX >> shift) {
        return Error{"--cache-size needs a number of bytes, or of K, M or G, and not '" + value + "'"};
      }
      options.target.cacheBytes = number << shift;
    } else {
      return Error{"unknown option " + std::string(word)};
    }
  }
  return Done{};
}

Result<kj::AutoCloseFd> listenUnix(const Destination& where) {
  Result<sockaddr_un> address = unixAddress(where.path);
  if (!address) return address.error();
  kj::AutoCloseFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // One that nobody listens on is what was left by somebody who did.
  struct stat status;
  if (stat(where.path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) == 0 || errno == EAGAIN) {
      return Error{where.path + ": somebody listens there already"};
    }
    unlink(where.path.c_str());
    fd = kj::AutoCloseFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  }
  mode_t mask = umask(S_IRWXG | S_IRWXO);
  int bound = bind(fd.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address);
  umask(mask);
  if (bound != 0 || listen(fd.get(), kBacklog) != 0) return systemError(where.path);
  return fd;
}

Result<kj::AutoCloseFd> listenTcp(const Destination& where) {
  addrinfo hints = {}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  std::string host = where.host == "localhost" ? "127.0.0.1" : where.host;
  if (int error = getaddrinfo(host.c_str(), where.port.c_str(), &hints, &list); error != 0) {
    return Error{where.host + ": " + gai_strerror(error) + "; name an address to listen on, such as 0.0.0.0"};
  }
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  kj::AutoCloseFd fd(socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int yes = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(fd.get(), list->ai_addr, list->ai_addrlen) != 0 || listen(fd.get(), kBacklog) != 0) {
    return systemError(where.text);
  }
  return fd;
}

// Processes for front ends that have not shown yet that they have the token. There are so many of them at the most: the
// oldest goes for another one, since whoever has the token shows it at once.
class Strangers {
 public:
  static constexpr size_t kMost = 32;

  // Its process ends, or closes `accepted`'s other end when the front end is no stranger any more.
  void add(pid_t process, kj::AutoCloseFd accepted) {
    forgetKnown();
    if (strangers_.size() == kMost) {
      kill(strangers_.front().process, SIGKILL);
      strangers_.pop_front();
    }
    strangers_.push_back({process, kj::mv(accepted)});
  }
  void clear() { strangers_.clear(); }

 private:
  struct Stranger {
    pid_t process;
    kj::AutoCloseFd accepted;
  };

  void forgetKnown() {
    std::erase_if(strangers_, [](const Stranger& stranger) {
      pollfd look = {stranger.accepted.get(), POLLIN, 0};
      return poll(&look, 1, 0) != 0;
    });
  }

  std::deque<Stranger> strangers_;
};

// The rest of a process that serves one front end.
int serveSocket(kj::AutoCloseFd socket, const Options& options) {
  if (!options.certificate.empty()) {
    auto stream = tlsFromFrontEnd(kj::mv(socket), options.certificate, options.key, kHandshakePatience);
    if (!stream) return complain(stream.error().message);
    return serve(std::move(*stream), options.target);
  }
  int fd = socket.release();
  return serve(plainStream(fd, fd), options.target);
}

int listenAndServe(const Options& options) {
  auto where = parseDestination(options.listen);
  if (!where) return complain(where.error().message);
  if (where->kind == Destination::Kind::kCommand) return complain("--listen needs unix:PATH or tcp:HOST:PORT");
  bool tcp = where->kind == Destination::Kind::kTcp;
  if (tcp && options.target.token.empty()) return complain("listening on TCP needs a token (--token-file)");
  bool tls = !options.certificate.empty() || !options.key.empty();
  if (tcp && !isLoopback(where->host) && !tls) {
    return complain("listening on anything but loopback needs TLS (--certificate and --key)");
  }
  if (tls) {
    if (Status good = checkCertificate(options.certificate, options.key); !good) return complain(good.error().message);
  }
  auto listener = tcp ? listenTcp(*where) : listenUnix(*where);
  if (!listener) return complain(listener.error().message);

  bool stopping = false;
  std::optional<Signals> signals(std::in_place, std::initializer_list<int>{SIGTERM, SIGINT, SIGHUP});
  signals->whenCaught([&stopping] { stopping = true; });
  Attention attention(&*signals);
  signal(SIGCHLD, SIG_IGN);
  // Whoever starts it need not guess when it can be reached.
  std::printf("splicehost-target: listening on %s\n", options.listen.c_str());
  std::fflush(stdout);
  Strangers strangers;
  while (!stopping) {
    pollfd fds[] = {{listener->get(), POLLIN, 0}};
    if (attention.poll(fds, -1) < 0) continue;
    kj::AutoCloseFd client(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
    int ends[2];
    if (client.get() < 0 || pipe2(ends, O_CLOEXEC) != 0) continue;
    kj::AutoCloseFd accepted(ends[0]), accept(ends[1]);
    tuneTcp(client.get());
    pid_t parent = getpid();
    pid_t child = fork();
    if (child > 0) strangers.add(child, kj::mv(accepted));
    if (child != 0) continue;
    strangers.clear();
    Options own = options;
    own.target.whenAccepted = [&accept] { accept = nullptr; };
    setsid();
    // It needs to know how its own children end, and goes with the listener.
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    signals.reset();
    *listener = nullptr;
    _exit(serveSocket(kj::mv(client), own));
  }
  if (!tcp) unlink(where->path.c_str());
  return 0;
}

int main(int argc, char* argv[]) {
  Options options;
  if (Status parsed = parse(argc, argv, options); !parsed) {
    std::fprintf(stderr, "splicehost-target: %s\n%s", parsed.error().message.c_str(), kUsage);
    return 2;
  }
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  // Under an emulator, or without /proc, there is only the name.
  if (error) self = std::filesystem::absolute(argv[0]);
  options.target.root = self.parent_path().parent_path();
  if (!options.tokenFile.empty()) {
    auto token = readSecretFile(options.tokenFile);
    if (!token) return complain(token.error().message);
    options.target.token = *token;
  }
  signal(SIGPIPE, SIG_IGN);
  // For the interpreter, whose process group this one is in.
  signal(SIGINT, [](int) {});
  if (!options.listen.empty()) return listenAndServe(options);

  // The connection is this process's alone.
  int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (in < 0 || out < 0) return complain("standard input and output must be the connection");
  if (null < 0) return complain(systemError("/dev/null").message);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  close(null);
  // Signals to the group are for the interpreter.
  setpgid(0, 0);
  return serve(plainStream(in, out), options.target);
}

}  // namespace
}  // namespace splicehost::remote

int main(int argc, char* argv[]) { return splicehost::remote::main(argc, argv); }
