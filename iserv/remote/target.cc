#include "iserv/remote/target.h"

#include <capnp/serialize.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "iserv/base/configuration.h"
#include "iserv/base/file_view.h"
#include "iserv/base/manifest.h"
#include "iserv/front_end/front_end.h"
#include "iserv/front_end/shared_interpreter.h"
#include "iserv/remote/remote_client.h"
#include "linker/mapped_file.h"
#include "protocol/contain.h"
#include "protocol/message_check.h"
#include "protocol/system.h"
#include "protocol/text.h"

namespace splicehost::remote {

namespace {

using Clock = std::chrono::steady_clock;

// How long a front end may take for its hello.
constexpr Milliseconds kHelloPatience{30'000};
// How long the connection may take nothing.
constexpr Milliseconds kSendPatience{20'000};
// Bytes. An environment can have two megabytes.
constexpr uint64_t kMaxHello = uint64_t{4} << 20;
// How long a front end may take to hang up.
constexpr Milliseconds kEndPatience{3'000};
// Directories in directories.
constexpr int kMaxDepth = 64;

std::string describeBits(schema::CodeDescription::Reader code) {
  return std::to_string(code.getWordBits()) + " bits, " + (code.getBigEndian() ? "big" : "little") + "-endian";
}

bool sameToken(const std::string& a, const std::string& b) {
  // In a time that does not tell where they differ.
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

class Service {
 public:
  Service(std::unique_ptr<Stream> stream, const TargetOptions& options)
      : options_(options), channel_(std::move(stream), kSendPatience) {}

  // Tells the front end why there is no more of this.
  void fail(const std::string& why) {
    if (client_) {
      client_->complain(why);
      client_->finish(1);
    } else {
      refuse(why);
    }
    channel_.end(kEndPatience);
  }

  int run() {
    Status ready = prepare();
    if (!ready) {
      refuse(ready.error().message);
      channel_.end(kEndPatience);
      return 1;
    }
    int status = 1;
    Status seen = showFiles();
    if (seen) {
      frontEnd_.start = [&](InterpreterUser user) { return startInterpreter(program_, std::move(user)); };
      FrontEnd frontEnd(frontEnd_, *client_);
      status = frontEnd.run();
    } else {
      client_->complain(seen.error().message);
    }
    client_->finish(status);
    store_->save();
    channel_.end(kEndPatience);
    return status;
  }

 private:
  // Reads the hello, and finds out whether it can be met.
  Status prepare() {
    // Whoever has not shown a token is not given memory.
    channel_.limit(kMaxHello);
    auto hello = awaitHello();
    if (!hello) return hello.error();
    capnp::MallocMessageBuilder copy;
    copy.setRoot(*hello);
    auto client = copy.getRoot<schema::FrontEndHello>().asReader();
    if (Status fits = check(client); !fits) return fits;
    options_.whenAccepted();

    channel_.limit(Channel::kNoLimit);
    auto store = ContentStore::open(options_.cache, options_.cacheBytes);
    if (!store) return store.error().within("the store of content");
    store_ = std::move(*store);
    if (Status settled = takeProcessContext(client); !settled) return settled;

    capnp::MallocMessageBuilder builder;
    describe(builder.initRoot<schema::FromTarget>().initHello().initAccepted());
    if (Status sent = channel_.send(builder); !sent) return sent;
    if (client.hasFiles()) {
      files_ = std::make_unique<capnp::MallocMessageBuilder>();
      files_->setRoot(client.getFiles());
    }
    return Done{};
  }

  Result<schema::FrontEndHello::Reader> awaitHello() {
    for (auto end = Clock::now() + kHelloPatience;;) {
      if (Status taken = channel_.takeIn(); !taken) return taken.error();
      auto message = channel_.next<schema::ToTarget>();
      if (!message) return message.error();
      if (*message) {
        if (!(*message)->isHello()) return Error{"the front end's first message is not a hello"};
        return (*message)->getHello();
      }
      if (channel_.ended()) return Error{"the front end hung up before it said hello"};
      auto left = std::chrono::duration_cast<Milliseconds>(end - Clock::now());
      if (left.count() <= 0) {
        return Error{"no hello has come within " + std::to_string(kHelloPatience.count() / 1000) + " s"};
      }
      pollfd wait = {channel_.fd(), POLLIN, 0};
      (void)poll(&wait, 1, static_cast<int>(left.count()));
    }
  }

  Status check(schema::FrontEndHello::Reader client) {
    auto differ = [](const std::string& what, const std::string& theirs, const std::string& ours) {
      return Error{"the front end's " + what + " is " + theirs + ", the target's is " + ours};
    };
    // Nobody without it is told anything else.
    if (!options_.token.empty() && !sameToken(toString(client.getToken()), options_.token)) {
      return Error{client.getToken().size() == 0 ? "a token is needed (token-file, ISERV_TOKEN_FILE)"
                                                 : "the token is not the one that this target was given"};
    }
    if (client.getProtocolVersion() != schema::REMOTE_PROTOCOL_VERSION) {
      return differ("protocol version", std::to_string(client.getProtocolVersion()),
                    std::to_string(schema::REMOTE_PROTOCOL_VERSION));
    }
    auto code = client.getCode();
    std::string version = toString(code.getGhcVersion());
    std::string directory = options_.root + "/ghc-" + version;
    frontEnd_.version = version.find('/') == version.npos ? ghc::findVersion(version) : nullptr;
    if (frontEnd_.version == nullptr || access((directory + "/manifest").c_str(), R_OK) != 0) {
      return differ("GHC version", version, ownVersions());
    }
    auto manifest = readManifest(directory);
    if (!manifest) return manifest.error();
    own_ = std::make_unique<capnp::MallocMessageBuilder>();
    auto own = own_->initRoot<schema::CodeDescription>();
    own.setGhcVersion(version);
    own.setWordBits(sizeof(void*) * 8);
    own.setBigEndian(std::endian::native == std::endian::big);
    own.setArchitecture(ownArchitecture());
    own.setInterpreterProtocol(schema::PROTOCOL_VERSION);
    own.setWay(code.getWay());
    if (describeBits(code) != describeBits(own)) return differ("word", describeBits(code), describeBits(own));
    if (toString(code.getArchitecture()) != ownArchitecture()) {
      return differ("architecture", toString(code.getArchitecture()), ownArchitecture());
    }
    auto identity = manifest->identities.find(wayName(code.getWay()));
    if (identity == manifest->identities.end()) {
      std::string ways;
      for (const auto& [name, value] : manifest->identities) ways += (ways.empty() ? "" : ", ") + name;
      return differ("way", std::string(wayName(code.getWay())), ways);
    }
    own.setBuildIdentity(identity->second);
    if (code.getInterpreterProtocol() != schema::PROTOCOL_VERSION) {
      return differ("interpreter protocol version", std::to_string(code.getInterpreterProtocol()),
                    std::to_string(schema::PROTOCOL_VERSION));
    }
    if (code.getBuildIdentity().size() > 0 && toString(code.getBuildIdentity()) != identity->second) {
      return differ("build", toString(code.getBuildIdentity()), identity->second);
    }

    program_.ghcVersion = frontEnd_.version->name;
    program_.way = code.getWay();
    std::string suffix(waySuffix(code.getWay()));
    // A directory that is made for a target has programs that prepare for an interpreter first.
    program_.path = directory + "/launch-interpreter" + suffix;
    if (access(program_.path.c_str(), X_OK) != 0) program_.path = directory + "/interpreter" + suffix;
    program_.name = "iserv" + suffix;
    program_.identity = identity->second;
    program_.libraries = manifest->libraries[identity->first];
    for (auto word : client.getRtsOptions()) program_.rtsOptions.emplace_back(word.cStr());
    readBootContent(directory, identity->first);
    auto configuration = readConfiguration();
    if (!configuration) return configuration.error();
    std::string broker = options_.root + "/iserv/iservd";
    bool shares = configuration->share && program_.rtsOptions.empty() && access(broker.c_str(), X_OK) == 0;
    if (shares) program_.broker = broker;
    return Done{};
  }

  std::string ownVersions() const {
    std::string versions;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(options_.root, error)) {
      std::string name = entry.path().filename();
      if (!name.starts_with("ghc-")) continue;
      versions += (versions.empty() ? "" : ", ") + name.substr(4);
    }
    return versions.empty() ? "none" : versions;
  }

  // The lines of `boot-libraries`: a way, a digest, and for a shared object where it is.
  void readBootContent(const std::string& directory, const std::string& way) {
    std::ifstream file(directory + "/boot-libraries");
    for (std::string line; std::getline(file, line);) {
      std::string first = line.substr(0, line.find(' '));
      if (first != way || line.size() < first.size() + 65) continue;
      std::string digits = line.substr(first.size() + 1, 64);
      linker::ContentDigest digest;
      bool good = true;
      for (size_t i = 0; i < digest.bytes.size(); ++i) {
        auto digit = [&](char c) { return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : -1; };
        int high = digit(digits[2 * i]), low = digit(digits[2 * i + 1]);
        good = good && high >= 0 && low >= 0;
        digest.bytes[i] = static_cast<uint8_t>(high << 4 | low);
      }
      std::string path = line.size() > first.size() + 66 ? line.substr(first.size() + 66) : "";
      if (!path.empty() && !path.starts_with('/')) path = directory + "/" + path;
      if (good) boot_.emplace(digest, path);
    }
  }

  void describe(schema::CodeDescription::Builder builder) {
    auto own = own_->getRoot<schema::CodeDescription>().asReader();
    builder.setGhcVersion(own.getGhcVersion());
    builder.setWay(own.getWay());
    builder.setWordBits(own.getWordBits());
    builder.setBigEndian(own.getBigEndian());
    builder.setArchitecture(own.getArchitecture());
    builder.setBuildIdentity(own.getBuildIdentity());
    builder.setInterpreterProtocol(own.getInterpreterProtocol());
  }

  // Makes this process's context what the interpreter's is to be.
  Status takeProcessContext(schema::FrontEndHello::Reader client) {
    kj::AutoCloseFd ends[2];
    for (int stream : {STDOUT_FILENO, STDERR_FILENO}) {
      int pipe[2];
      if (pipe2(pipe, O_CLOEXEC) != 0) return systemError("a pipe");
      fcntl(pipe[0], F_SETFL, O_NONBLOCK);
      ends[stream - 1] = kj::AutoCloseFd(pipe[0]);
      if (dup2(pipe[1], stream) < 0) return systemError("a standard stream");
      close(pipe[1]);
    }
    client_.emplace(channel_, *store_, boot_, kj::mv(ends[0]), kj::mv(ends[1]));
    for (auto variable : client.getVariables()) {
      std::string text = toString(variable);
      size_t equals = text.find('=');
      if (equals != text.npos && equals > 0) setenv(text.substr(0, equals).c_str(), text.c_str() + equals + 1, 1);
    }
    umask(client.getUmask() & 0777);
    directory_ = toString(client.getDirectory());
    if (!client.hasFiles() && chdir(directory_.c_str()) != 0 && chdir("/") != 0) {
      return systemError("the root directory");
    }
    return Done{};
  }

  // Has the front end's files brought, and shows them to the interpreter.
  Status showFiles() {
    if (!files_) return Done{};
    auto files = files_->getRoot<schema::ProjectFiles>().asReader();
    auto tree = files.getTree();
    auto digest = readDigest(tree.getSha256());
    if (!digest) return digest.error().within("the front end's tree");
    std::string root = toString(files.getRoot());
    if (!root.starts_with('/') || root.find("/../") != root.npos || root.ends_with("/..")) {
      return Error{"'" + root + "' is no absolute path of a directory"};
    }
    for (const std::string& directory : {options_.cache, options_.root}) {
      if (directory.starts_with(root + "/")) {
        return Error{"the front end's files are to be seen in " + root + ", which would hide the target's directory " +
                     directory + ": name a smaller root (--root, ISERV_ROOT), or have the target elsewhere (--cache)"};
      }
    }
    auto place = store_->findTree(*digest);
    if (!place) {
      auto made = store_->beginTree(*digest);
      if (!made) return made.error();
      if (Status filled = fill(tree, *made, 0); !filled) return filled.error().within("the files under " + root);
      auto finished = store_->finishTree(*digest, *made);
      if (!finished) return finished.error();
      place = *finished;
    }
    program_.view = FileView{root, *place, directory_};
    return Done{};
  }

  Status fill(schema::Content::Reader directory, const std::string& place, int depth) {
    if (depth > kMaxDepth) return Error{"directories are nested too deeply"};
    auto brought = client_->bring({directory});
    if (!brought) return brought.error();
    auto file = linker::MappedFile::open(brought->begin()->second);
    if (!file) return file.error();
    auto bytes = file->bytes();
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), words.asBytes().size());
    if (Status good = checkMessage(words, capnp::Schema::from<schema::Directory>()); !good) return good;
    capnp::FlatArrayMessageReader reader(words, kCheckedMessage);
    auto entries = reader.getRoot<schema::Directory>().getEntries();
    std::vector<schema::Content::Reader> contents;
    for (auto entry : entries) {
      if (entry.isFile()) contents.push_back(entry.getFile());
      if (entry.isDirectory()) contents.push_back(entry.getDirectory());
    }
    auto files = client_->bring(contents);
    if (!files) return files.error();
    for (auto entry : entries) {
      std::string name = toString(entry.getName());
      if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos) {
        return Error{"'" + name + "' is no file name"};
      }
      std::string path = place + "/" + name;
      if (entry.isDirectory()) {
        if (mkdir(path.c_str(), 0755) != 0) return systemError(path);
        if (Status filled = fill(entry.getDirectory(), path, depth + 1); !filled) return filled;
      } else if (entry.isLink()) {
        if (symlink(toString(entry.getLink()).c_str(), path.c_str()) != 0) return systemError(path);
      } else {
        auto digest = readDigest(entry.getFile().getSha256());
        if (!digest) return digest.error();
        const std::string& content = (*files)[*digest];
        if (link(content.c_str(), path.c_str()) != 0) return systemError(path);
      }
    }
    return Done{};
  }

  void refuse(const std::string& why) {
    capnp::MallocMessageBuilder builder;
    builder.initRoot<schema::FromTarget>().initHello().setRefused(why);
    (void)channel_.send(builder).ok();
  }

  const TargetOptions& options_;
  Channel channel_;
  std::unique_ptr<ContentStore> store_;
  BootContent boot_;
  std::optional<RemoteClient> client_;
  InterpreterProgram program_;
  FrontEndOptions frontEnd_;
  std::unique_ptr<capnp::MallocMessageBuilder> own_;    // a CodeDescription
  std::unique_ptr<capnp::MallocMessageBuilder> files_;  // a ProjectFiles
  std::string directory_;                               // the front end's working directory
};

}  // namespace

std::string ownArchitecture() {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#else
#error "name the architecture"
#endif
}

int serve(std::unique_ptr<Stream> stream, const TargetOptions& options) {
  int status = 1;
  Service service(std::move(stream), options);
  Status served = contain([&]() -> Status {
    status = service.run();
    return Done{};
  });
  if (!served) service.fail(served.error().message);
  return status;
}

}  // namespace splicehost::remote
