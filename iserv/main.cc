// iserv, iserv-prof, iserv-dyn: the program that GHC starts as its external interpreter.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "iserv/base/configuration.h"
#include "iserv/base/manifest.h"
#include "iserv/front_end/front_end.h"
#include "iserv/front_end/ghc_pipes.h"
#include "iserv/front_end/shared_interpreter.h"
#include "iserv/remote/remote_interpreter.h"
#include "iserv/remote/secret_file.h"
#include "iserv/remote/target.h"
#include "protocol/contain.h"
#include "protocol/system.h"

namespace splicehost {
namespace {

constexpr char kUsage[] =
    "usage: iserv <write-fd> <read-fd> [options]\n"
    "       iserv --version\n"
    "\n"
    "GHC starts this program, to run Template Haskell and GHCi:\n"
    "  ghc -fexternal-interpreter -pgmi /path/to/iserv ...\n"
    "(with -prof or -dynamic GHC itself appends -prof or -dyn to the name).\n"
    "\n"
    "Options (pass each with -opti):\n"
    "  -v                 trace every message on stderr; twice: and list the byte code in them\n"
    "  +RTS ... -RTS      options for the interpreter's runtime system\n"
    "  --via WHERE        run splices on another machine: a command whose standard input and output lead to\n"
    "                     its splicehost-target, or unix:PATH, or tcp:HOST:PORT\n"
    "  --NAME VALUE       any setting of the configuration file (root, exclude, token-file, ...)\n";

// What the command line says.
struct CommandLine {
  int writeFd = -1;  // GHC reads what is written here
  int readFd = -1;   // what GHC writes
  bool listsByteCode = false;
  // Settings: names and values.
  std::vector<std::pair<std::string, std::string>> settings;
};

int complain(const std::string& message) {
  std::fprintf(stderr, "iserv: %s\n", message.c_str());
  return 1;
}

// An open fd from a word of the command line, or -1.
int parseFd(std::string_view word) {
  int fd = -1;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), fd);
  if (error != std::errc() || end != word.data() + word.size()) return -1;
  return fd >= 0 && fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

schema::Way wayOf(std::string_view programName) {
  for (schema::Way way : {schema::Way::PROFILED, schema::Way::DYNAMIC}) {
    if (programName.ends_with(waySuffix(way))) return way;
  }
  return schema::Way::VANILLA;
}

// Fills in what the command line says. Fails with what is wrong with it.
Status parse(int argc, char* argv[], CommandLine& line, InterpreterProgram& program) {
  if (argc < 3) return Error{"two fds are needed"};
  line.writeFd = parseFd(argv[1]);
  line.readFd = parseFd(argv[2]);
  if (line.writeFd < 0) return Error{std::string(argv[1]) + " is not an open fd"};
  if (line.readFd < 0) return Error{std::string(argv[2]) + " is not an open fd"};
  bool rts = false;
  for (int i = 3; i < argc; ++i) {
    std::string_view word = argv[i];
    if (word == "+RTS") {
      rts = true;
      program.rtsOptions.emplace_back(word);
    } else if (rts) {
      program.rtsOptions.emplace_back(word);
      if (word == "-RTS") rts = false;
    } else if (word == "-v") {
      line.listsByteCode = program.verbose;
      program.verbose = true;
    } else if (word.starts_with("--")) {
      size_t equals = word.find('=');
      if (equals == word.npos && i + 1 >= argc) return Error{std::string(word) + " needs a value"};
      std::string name(word.substr(2, equals == word.npos ? word.npos : equals - 2));
      line.settings.emplace_back(name, equals == word.npos ? argv[++i] : std::string(word.substr(equals + 1)));
    } else {
      return Error{"unknown option " + std::string(word)};
    }
  }
  return Done{};
}

// Fills in how to reach an interpreter on another machine.
Status goElsewhere(const Configuration& configuration, const Manifest& manifest, const InterpreterProgram& program,
                   FrontEndOptions& options) {
  remote::RemoteOptions elsewhere;
  auto destination = remote::parseDestination(configuration.via);
  if (!destination) return destination.error();
  elsewhere.destination = *destination;
  if (!configuration.tokenFile.empty()) {
    auto token = remote::readSecretFile(configuration.tokenFile);
    if (!token) return token.error();
    elsewhere.destination.token = *token;
  }
  elsewhere.destination.certificate = configuration.certificate;
  elsewhere.connectPatience = std::chrono::seconds(configuration.timeoutSeconds);
  elsewhere.digestFile = remote::digestFile();
  elsewhere.architecture = configuration.architecture;
  if (elsewhere.architecture.empty()) elsewhere.architecture = manifest.architecture;
  if (elsewhere.architecture.empty()) elsewhere.architecture = remote::ownArchitecture();
  if (configuration.root != "none") {
    std::error_code error;
    std::string root = configuration.root.empty() ? std::filesystem::current_path(error).string() : configuration.root;
    while (root.size() > 1 && root.ends_with('/')) root.pop_back();
    if (error || !std::filesystem::is_directory(root, error)) return Error{"root: " + root + " is no directory"};
    if (root == "/") {
      return Error{"root: the root directory itself cannot be shown on another machine; name a project's"};
    }
    elsewhere.files = remote::ProjectSelection{root, configuration.exclude};
    elsewhere.files->maxFileBytes = configuration.maxFileBytes;
  }
  for (const std::string& name : configuration.variables) {
    if (const char* value = getenv(name.c_str())) elsewhere.variables.push_back(name + "=" + value);
  }
  elsewhere.rtsOptions = program.rtsOptions;
  elsewhere.ghcVersion = program.ghcVersion;
  elsewhere.way = program.way;
  elsewhere.buildIdentity = program.identity;
  elsewhere.libraries = program.libraries;
  options.start = [elsewhere](const InterpreterUser& user) {
    return remote::RemoteInterpreter::connect(elsewhere, user.attention);
  };
  return Done{};
}

// Fills in what lies beside this program, and what the configuration says.
Status locate(const char* argv0, const CommandLine& line, InterpreterProgram& program, FrontEndOptions& options) {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return Error{"/proc/self/exe: " + error.message()};
  std::string directory = self.parent_path();
  program.name = std::filesystem::path(argv0).filename();
  program.way = wayOf(program.name);

  Result<Manifest> manifest = readManifest(directory);
  if (!manifest) return manifest.error();
  options.version = ghc::findVersion(manifest->ghcVersion);
  if (options.version == nullptr) {
    return Error{directory + " is for GHC " + manifest->ghcVersion + ", which this build does not know"};
  }
  program.ghcVersion = options.version->name;
  auto identity = manifest->identities.find(wayName(program.way));
  if (identity == manifest->identities.end()) {
    return Error{"there is no interpreter of the " + std::string(wayName(program.way)) + " way for GHC " +
                 manifest->ghcVersion + " in " + directory + "; `iservctl doctor` tells what is missing"};
  }
  program.identity = identity->second;
  program.libraries = manifest->libraries[identity->first];
  program.path = directory + "/interpreter" + std::string(waySuffix(program.way));

  Result<Configuration> configuration = readConfiguration();
  if (!configuration) return configuration.error();
  for (const auto& [name, value] : line.settings) {
    if (Status set = setOption(*configuration, name, value); !set) return set;
  }
  if (!configuration->via.empty()) return goElsewhere(*configuration, *manifest, program, options);

  options.start = [&program](InterpreterUser user) { return startInterpreter(program, std::move(user)); };
  // RTS options are for one interpreter; and an application that is one (docs/examples) has no broker.
  std::string broker = directory + "/../iserv/iservd";
  if (!program.rtsOptions.empty() || getenv("GHCRTS") != nullptr || access(broker.c_str(), X_OK) != 0) {
    return Done{};
  }
  if (configuration->share) program.broker = broker;
  return Done{};
}

void noteSignals(InterpreterProgram& program) {
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  for (int number = 1; number <= 64; ++number) {
    uint64_t bit = uint64_t{1} << (number - 1);
    struct sigaction action;
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) {
      program.ignoredSignals |= bit;
    }
    if (sigismember(&blocked, number) == 1) program.blockedSignals |= bit;
  }
}

// If GHC was started with a closed standard stream, one of its pipes can have the number of that stream, or the next
// file that is opened here. Nobody must take it for a standard stream. So these are always open from here on, as
// /dev/null if need be.
Status secureStreams(CommandLine& options) {
  // GHC's pipes are this process's alone, too: whoever else held them would hide GHC's end from us.
  int readFd = fcntl(options.readFd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  int writeFd = fcntl(options.writeFd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (readFd < 0 || writeFd < 0) return systemError("GHC's pipes");
  close(std::exchange(options.readFd, readFd));
  // A socket can be both.
  close(std::exchange(options.writeFd, writeFd));
  int null;
  do {
    null = open("/dev/null", O_RDWR);
    if (null < 0) return systemError("/dev/null");
  } while (null <= STDERR_FILENO);
  close(null);
  return Done{};
}

int main(int argc, char* argv[]) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::puts("iserv (Splicehost) " SPLICEHOST_VERSION);
    return 0;
  }
  CommandLine line;
  InterpreterProgram program;
  FrontEndOptions options;
  if (Status parsed = parse(argc, argv, line, program); !parsed) {
    std::fprintf(stderr, "iserv: %s\n%s", parsed.error().message.c_str(), kUsage);
    return 2;
  }
  if (Status secured = secureStreams(line); !secured) return complain(secured.error().message);
  if (Status located = locate(argv[0], line, program, options); !located) {
    return complain(located.error().message);
  }
  noteSignals(program);
  options.verbose = program.verbose;
  options.listsByteCode = line.listsByteCode;
  // ^C is for GHC and for the interpreter. A child of this process gets it too; a session of the broker's
  // is in another process group.
  Signals interrupts{SIGINT, SIGQUIT};
  options.signals = &interrupts;
  // A peer that is gone shows in write().
  signal(SIGPIPE, SIG_IGN);
  GhcPipes ghc(*options.version, line.readFd, line.writeFd, program.verbose);
  int status = 1;
  Status ran = contain([&]() -> Status {
    status = FrontEnd(options, ghc).run();
    return Done{};
  });
  return ran ? status : complain(ran.error().message);
}

}  // namespace
}  // namespace splicehost

int main(int argc, char* argv[]) { return splicehost::main(argc, argv); }
