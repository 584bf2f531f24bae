#include "iserv/interpreter/session.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bytecode/verify.h"
#include "iserv/interpreter/allocate.h"
#include "iserv/interpreter/arena.h"
#include "iserv/interpreter/constructor_info.h"
#include "iserv/interpreter/process_end.h"
#include "protocol/ghc_messages.h"
#include "protocol/message_layout.h"
#include "protocol/message_references.h"
#include "protocol/text.h"

namespace splicehost {

namespace {

std::string fileOf(capnp::Text::Reader text) { return ghc::fileName(toString(text)); }

ghc::Bytes bytesOf(capnp::Data::Reader data) { return {reinterpret_cast<const std::byte*>(data.begin()), data.size()}; }

void setMaybe(schema::MaybePointer::Builder maybe, const void* address) {
  if (address == nullptr) {
    maybe.setNothing();
  } else {
    maybe.setPointer(reinterpret_cast<uint64_t>(address));
  }
}

// Memory for the rest of the process: GHC has no message that frees it.
std::byte* mallocCopy(capnp::Data::Reader data, size_t terminator) {
  auto* copy = static_cast<std::byte*>(std::malloc(data.size() + terminator));
  if (copy == nullptr) std::abort();
  std::memcpy(copy, data.begin(), data.size());
  std::memset(copy + data.size(), 0, terminator);
  return copy;
}

template <typename Setter>
Status done(Status status, Setter set) {
  if (status) set();
  return status;
}

// As the client's starter had it; but the RTS handles some signals itself.
void setSignals(schema::ClientHello::Reader client) {
  auto contains = [](uint64_t signals, int number) { return (signals >> (number - 1) & 1) != 0; };
  sigset_t blocked;
  sigemptyset(&blocked);
  for (int number = 1; number <= 64; ++number) {
    if (contains(client.getBlockedSignals(), number)) sigaddset(&blocked, number);
    struct sigaction current;
    if (!contains(client.getIgnoredSignals(), number) || sigaction(number, nullptr, &current) != 0) continue;
    if (current.sa_handler == SIG_DFL) signal(number, SIG_IGN);
  }
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

// Why these two do not fit, or an empty string.
std::string mismatch(const InterpreterBuild& build, schema::ClientHello::Reader client) {
  auto differ = [](const char* what, const std::string& theirs, const std::string& ours) {
    return std::string("the client's ") + what + " is " + theirs + ", the interpreter's is " + ours;
  };
  if (client.getProtocolVersion() != schema::PROTOCOL_VERSION) {
    return differ("protocol version", std::to_string(client.getProtocolVersion()),
                  std::to_string(schema::PROTOCOL_VERSION));
  }
  if (toString(client.getGhcVersion()) != build.version->name) {
    return differ("GHC version", toString(client.getGhcVersion()), std::string(build.version->name));
  }
  if (client.getWay() != build.way) {
    return differ("way", kj::str(client.getWay()).cStr(), kj::str(build.way).cStr());
  }
  if (client.getBuildIdentity().size() > 0 && toString(client.getBuildIdentity()) != build.identity) {
    return differ("build", toString(client.getBuildIdentity()), std::string(build.identity));
  }
  return "";
}

}  // namespace

void Session::connect(kj::AutoCloseFd socket) {
  if (!watch_) watch_.emplace();
  watch_->watch(socket.get());
  hangUpAfterExitHandlers(socket.get());
  connection_.emplace(kj::mv(socket));
}

// Ends this process in good order.
void Session::clientIsGone() {
  watch_->set(HangupWatch::State::kEnding);
  std::exit(0);
}

Result<schema::ToInterpreter::Reader> Session::receive() {
  watch_->set(HangupWatch::State::kIdle);
  auto message = connection_->receive<schema::ToInterpreter>();
  // The client has hung up without a shutdown: there is nobody to tell.
  if (message && !*message) clientIsGone();
  watch_->set(HangupWatch::State::kBusy);
  if (!message) return message.error();
  return **message;
}

Status Session::greet(Status status) {
  auto message = receive();
  if (!message) return message.error();
  if (!message->isHello()) return Error{"the client's first message is not a hello"};
  std::string reason = status ? mismatch(build_, message->getHello()) : std::string(status.error().message);
  setSignals(message->getHello());

  capnp::MallocMessageBuilder builder;
  auto hello = builder.initRoot<schema::FromInterpreter>().initHello();
  if (!reason.empty()) {
    hello.setRefused(reason);
    if (Status sent = connection_->send(builder); !sent) return sent;
    return Error{reason};
  }
  auto description = hello.initAccepted();
  description.setProtocolVersion(schema::PROTOCOL_VERSION);
  description.setGhcVersion(std::string(build_.version->name));
  description.setWay(build_.way);
  description.setBuildIdentity(std::string(build_.identity));
  description.setProcessId(static_cast<uint32_t>(getpid()));
  description.setWordBits(sizeof(void*) * 8);
  description.setBigEndian(std::endian::native == std::endian::big);
  return connection_->send(builder);
}

std::optional<ghc::Bytes> Session::next() {
  while (status_) {
    auto message = receive();
    if (!message) {
      status_ = message.error();
      break;
    }
    if (!message->isRequest()) {
      status_ = Error{"the client sent something that is not a request"};
      break;
    }
    auto request = message->getRequest();
    if (request.isShutdown()) break;

    Status status = checkReferences(request);
    if (status && kindOf(request.which()).evaluated) {
      evaluating_ = request.which();
      evaluation_ = ghc::Writer();
      ghc::encodeRequest(*build_.version, request, evaluation_);
      return evaluation_.bytes();
    }
    capnp::MallocMessageBuilder builder;
    auto reply = builder.initRoot<schema::FromInterpreter>().initReply();
    if (status) status = carryOut(request, reply);
    status_ = send(builder, reply, status);
  }
  return std::nullopt;
}

void Session::evaluated(bool good, ghc::Bytes result) {
  capnp::MallocMessageBuilder builder;
  auto reply = builder.initRoot<schema::FromInterpreter>().initReply();
  Status status = Done{};
  if (good) {
    status = ghc::decodeReply(*build_.version, evaluating_, result, reply);
  } else {
    status = Error{std::string(reinterpret_cast<const char*>(result.data()), result.size())};
  }
  if (status) noteReferences(reply.asReader());
  status_ = send(builder, reply, status);
}

// Sends a reply, or that the request could not be carried out.
Status Session::send(capnp::MessageBuilder& builder, schema::Reply::Builder reply, Status status) {
  if (!status) reply.setFailed(status.error().message);
  if (!connection_->send(builder)) clientIsGone();
  return status;
}

Status Session::end() {
  if (status_) {
    capnp::MallocMessageBuilder builder;
    auto reply = builder.initRoot<schema::FromInterpreter>().initReply();
    reply.setDone();
    status_ = send(builder, reply, Done{});
  }
  // The client has been told; from here on its going is no reason to stop short.
  watch_->set(HangupWatch::State::kEnding);
  return status_;
}

Status Session::carryOut(schema::Request::Reader request, schema::Reply::Builder reply) {
  auto setDone = [&] { reply.setDone(); };
  switch (request.which()) {
    case schema::Request::RTS_REVERT_CAFS: {
      RtsLock lock;
      revertCAFs();
      reply.setDone();
      return Done{};
    }
    case schema::Request::INIT_LINKER:
      linker_.initialise();
      reply.setDone();
      return Done{};
    case schema::Request::LOOKUP_SYMBOL:
      setMaybe(reply.initMaybePointer(), linker_.lookup(toString(request.getLookupSymbol())));
      return Done{};
    case schema::Request::LOOKUP_CLOSURE:
      return lookupClosure(toString(request.getLookupClosure()), reply.initMaybePointer());
    case schema::Request::LOAD_DLL: {
      std::string file = fileOf(request.getLoadDll());
      auto message = linker_.loadSharedObject(file);
      auto loaded = reply.initLoadedDll();
      if (message) {
        loaded.setFailed(*message);
      } else {
        loaded.setHandle(ghc::sharedObjectHandle(file));
      }
      return Done{};
    }
    case schema::Request::LOOKUP_SYMBOL_IN_DLL: {
      auto wanted = request.getLookupSymbolInDll();
      auto address = linker_.lookupIn(wanted.getHandle(), toString(wanted.getSymbol()));
      if (!address) return address.error();
      setMaybe(reply.initMaybePointer(), *address);
      return Done{};
    }
    case schema::Request::LOAD_ARCHIVE:
      return done(linker_.loadArchive(fileOf(request.getLoadArchive())), setDone);
    case schema::Request::LOAD_OBJ:
      return done(linker_.loadObject(fileOf(request.getLoadObj())), setDone);
    case schema::Request::UNLOAD_OBJ:
      return done(linker_.unload(fileOf(request.getUnloadObj())), setDone);
    case schema::Request::ADD_LIBRARY_SEARCH_PATH: {
      std::string directory = fileOf(request.getAddLibrarySearchPath());
      reply.setPointer(reinterpret_cast<uint64_t>(addLibrarySearchPath(directory.data())));
      return Done{};
    }
    case schema::Request::REMOVE_LIBRARY_SEARCH_PATH:
      reply.setBool(removeLibrarySearchPath(reinterpret_cast<HsPtr>(request.getRemoveLibrarySearchPath())));
      return Done{};
    case schema::Request::RESOLVE_OBJS:
      reply.setBool(linker_.resolve());
      return Done{};
    case schema::Request::FIND_SYSTEM_LIBRARY: {
      std::string name = fileOf(request.getFindSystemLibrary());
      std::unique_ptr<pathchar, decltype(&std::free)> path(findSystemLibrary(name.data()), &std::free);
      auto maybe = reply.initMaybeText();
      if (path) maybe.setText(path.get());
      return Done{};
    }
    case schema::Request::CREATE_BCOS:
      return createBcos(request.getCreateBcos(), reply);
    case schema::Request::FREE_REFERENCES:
      return done(freeReferences(request.getFreeReferences()), setDone);
    case schema::Request::ADD_SPT_ENTRY:
      return done(addStaticPointer(request.getAddSptEntry()), setDone);
    case schema::Request::MALLOC_DATA:
      reply.setPointer(reinterpret_cast<uint64_t>(mallocCopy(request.getMallocData(), 0)));
      return Done{};
    case schema::Request::MALLOC_STRINGS: {
      auto strings = request.getMallocStrings();
      auto pointers = reply.initPointers(strings.size());
      for (uint32_t i = 0; i < strings.size(); ++i) {
        pointers.set(i, reinterpret_cast<uint64_t>(mallocCopy(strings[i], 1)));
      }
      return Done{};
    }
    case schema::Request::PREP_FFI: {
      auto call = foreignCalls_.prepare(request.getPrepFfi());
      if (!call) return call.error();
      reply.setPointer(*call);
      return Done{};
    }
    case schema::Request::FREE_FFI:
      return done(foreignCalls_.free(request.getFreeFfi()), setDone);
    case schema::Request::MK_CON_INFO_TABLE: {
      auto table = bytecode::makeConstructorInfo(request.getMkConInfoTable());
      if (!table) return table.error();
      reply.setPointer(*table);
      return Done{};
    }
    case schema::Request::MK_COST_CENTRES:
      makeCostCentres(request.getMkCostCentres(), reply);
      return Done{};
    case schema::Request::COST_CENTRE_STACK_INFO:
      return describeCostCentreStack(request.getCostCentreStackInfo(), reply);
    case schema::Request::NEW_BREAK_ARRAY:
      return newBreakArray(request.getNewBreakArray(), reply);
    case schema::Request::NEW_BREAK_MODULE: {
      auto name = request.getNewBreakModule();
      capnp::Data::Reader text(reinterpret_cast<const capnp::byte*>(name.begin()), name.size());
      reply.setPointer(reinterpret_cast<uint64_t>(mallocCopy(text, 1)));
      return Done{};
    }
    case schema::Request::ENABLE_BREAKPOINT: {
      auto breakpoint = request.getEnableBreakpoint();
      return setBreakpoint(breakpoint.getArray(), breakpoint.getIndex(),
                           breakpoint.getEnable() ? rts::kBreakOn : rts::kBreakOff, reply);
    }
    case schema::Request::SETUP_BREAKPOINT: {
      auto breakpoint = request.getSetupBreakpoint();
      return setBreakpoint(breakpoint.getArray(), breakpoint.getIndex(),
                           static_cast<rts::BreakFlag>(breakpoint.getIgnoreCount()), reply);
    }
    case schema::Request::BREAKPOINT_STATUS:
      return breakpointStatus(request.getBreakpointStatus(), reply);
    case schema::Request::PLACE_DATA:
      return done(placeInArena(request.getPlaceData().getAddress(), bytesOf(request.getPlaceData().getData())),
                  setDone);
    default:
      return Error{"request " + std::to_string(request.which()) + " is not known"};
  }
}

Status Session::lookupClosure(const std::string& name, schema::MaybePointer::Builder found) {
  void* address = linker_.lookup(name);
  if (address == nullptr) {
    found.setNothing();
    return Done{};
  }
  RtsLock lock;
  found.setPointer(references_.add(lock, static_cast<StgClosure*>(address)));
  return Done{};
}

Status Session::checkReference(uint64_t reference) const {
  if (references_.contains(reference)) return Done{};
  return Error{"remote reference " + std::to_string(reference) + " is not one that this session has given out"};
}

Status Session::freeReferences(capnp::List<uint64_t>::Reader references) {
  for (uint64_t reference : references) {
    if (Status good = checkReference(reference); !good) return good;
    breakArrays_.erase(reference);
    references_.free(reference);
  }
  return Done{};
}

Status Session::createBcos(capnp::List<capnp::Data>::Reader chunks, schema::Reply::Builder reply) {
  std::vector<ghc::Bytes> bytes;
  for (auto chunk : chunks) bytes.push_back(bytesOf(chunk));
  auto set = bytecode::decodeBcos(bytes, *build_.bcoFormat);
  if (!set) return set.error();
  if (Status good = bytecode::verify(*set, *build_.bcoFormat); !good) return good;
  for (const bytecode::BcoPointer& pointer : set->pointers) {
    using Kind = bytecode::BcoPointer::Kind;
    bool good = true;
    if (pointer.kind == Kind::kRemoteReference) good = references_.contains(pointer.value);
    if (pointer.kind == Kind::kBreakArray) good = breakArrays_.contains(pointer.value);
    if (pointer.kind == Kind::kStaticPointer) good = linker_.knows(pointer.value);
    if (!good) {
      return Error{"a BCO's pointer refers to " + std::to_string(pointer.value) +
                   ", which is nothing that this session has given out"};
    }
  }

  RtsLock lock;
  auto closures =
      bytecode::allocateBcos(lock, *set, [&](uint64_t reference) { return references_.closure(lock, reference); });
  auto pointers = reply.initPointers(static_cast<uint32_t>(closures.size()));
  for (uint32_t i = 0; i < closures.size(); ++i) pointers.set(i, references_.add(lock, closures[i]));
  return Done{};
}

Status Session::addStaticPointer(schema::SptEntry::Reader entry) {
  if (Status good = checkReference(entry.getReference()); !good) return good;
  RtsLock lock;
  // The table owns both, and keeps them until the process ends.
  auto* key = new StgWord64[2]{entry.getFingerprintHigh(), entry.getFingerprintLow()};
  auto* value =
      new StgStablePtr(getStablePtr(reinterpret_cast<StgPtr>(references_.closure(lock, entry.getReference()))));
  hs_spt_insert_stableptr(key, value);
  return Done{};
}

#if defined(PROFILING)

void Session::makeCostCentres(schema::CostCentres::Reader request, schema::Reply::Builder reply) {
  // Cost centres and their names live until the process ends.
  auto copy = [](capnp::Text::Reader text) { return strdup(toString(text).c_str()); };
  char* module = copy(request.getModule());
  auto centres = request.getCentres();
  auto pointers = reply.initPointers(centres.size());
  for (uint32_t i = 0; i < centres.size(); ++i) {
    CostCentre* centre = mkCostCentre(copy(centres[i].getName()), module, copy(centres[i].getSourceSpan()));
    pointers.set(i, reinterpret_cast<uint64_t>(centre));
  }
}

Status Session::describeCostCentreStack(uint64_t stack, schema::Reply::Builder reply) {
  if (stack != 0 && !costCentreStacks_.contains(stack)) {
    return Error{"there is no cost centre stack at address " + std::to_string(stack)};
  }
  std::vector<std::string> calls;
  for (auto* ccs = reinterpret_cast<CostCentreStack*>(stack); ccs != nullptr; ccs = ccs->prevStack) {
    const CostCentre& centre = *ccs->cc;
    if (strcmp(centre.module, "MAIN") == 0 && strcmp(centre.label, "MAIN") == 0) break;
    calls.push_back(std::string(centre.module) + "." + centre.label + " (" + centre.srcloc + ")");
  }
  auto texts = reply.initTexts(static_cast<uint32_t>(calls.size()));
  for (uint32_t i = 0; i < calls.size(); ++i) texts.set(i, calls[calls.size() - 1 - i]);
  return Done{};
}

#else

void Session::makeCostCentres(schema::CostCentres::Reader, schema::Reply::Builder reply) { reply.initPointers(0); }

Status Session::describeCostCentreStack(uint64_t, schema::Reply::Builder reply) {
  reply.initTexts(0);
  return Done{};
}

#endif

Status Session::newBreakArray(int64_t size, schema::Reply::Builder reply) {
  // One flag for each expression of a module.
  constexpr int64_t kMaxBreakpoints = (int64_t{1} << 30) / sizeof(rts::BreakFlag);
  if (size < 0 || size > kMaxBreakpoints) {
    return Error{"a break array cannot have " + std::to_string(size) + " flags"};
  }
  RtsLock lock;
  auto count = static_cast<size_t>(size);
  auto* flags = bytecode::allocateBytes(lock, count * sizeof(rts::BreakFlag));
  std::fill_n(reinterpret_cast<rts::BreakFlag*>(flags->payload), count, rts::kBreakOff);
  uint64_t reference = references_.add(lock, reinterpret_cast<StgClosure*>(flags));
  breakArrays_.insert(reference);
  reply.setPointer(reference);
  return Done{};
}

// The flag of a breakpoint, true as long as the lock is held; null if the array does not have it.
Result<rts::BreakFlag*> Session::breakFlag(const RtsLock& lock, uint64_t array, int64_t index) {
  if (!breakArrays_.contains(array)) {
    return Error{"remote reference " + std::to_string(array) + " is not a break array of this session"};
  }
  auto* flags = reinterpret_cast<StgArrBytes*>(references_.closure(lock, array));
  if (static_cast<uint64_t>(index) >= flags->bytes / sizeof(rts::BreakFlag)) return nullptr;
  return reinterpret_cast<rts::BreakFlag*>(flags->payload) + index;
}

Status Session::setBreakpoint(uint64_t array, int64_t index, rts::BreakFlag value, schema::Reply::Builder reply) {
  RtsLock lock;
  auto flag = breakFlag(lock, array, index);
  if (!flag) return flag.error();
  if (*flag != nullptr) **flag = value;
  reply.setDone();
  return Done{};
}

Status Session::breakpointStatus(schema::BreakpointPlace::Reader request, schema::Reply::Builder reply) {
  RtsLock lock;
  auto flag = breakFlag(lock, request.getArray(), request.getIndex());
  if (!flag) return flag.error();
  reply.setBool(*flag != nullptr && **flag == rts::kBreakOn);
  return Done{};
}

Status Session::checkReferences(schema::Request::Reader request) const {
  Status status = Done{};
  forEachReference(request, [&](uint64_t reference) {
    if (status) status = checkReference(reference);
  });
  return status;
}

// Notes what the shim has made for an evaluated request.
void Session::noteReferences(schema::Reply::Reader reply) {
  forEachReference(reply, [this](uint64_t reference) { references_.note(reference); });
  if (reply.isEvalStatus() && reply.getEvalStatus().isBreak()) {
    costCentreStacks_.insert(reply.getEvalStatus().getBreak().getCostCentreStack());
  }
}

// --- Calls from Template Haskell code -------------------------------------------------------------

void Session::request(ghc::Bytes message) {
  if (message.size() == 1 + sizeof(uint64_t) &&
      std::to_integer<uint8_t>(message[0]) == build_.version->addModFinalizerTag) {
    references_.note(ghc::Reader(message.subspan(1), ghc::kMessageLimit).word());
  }
  capnp::MallocMessageBuilder builder;
  builder.initRoot<schema::FromInterpreter>().setThRequest(
      {reinterpret_cast<const capnp::byte*>(message.data()), message.size()});
  // A client that is gone has no use for the rest of the splice.
  if (!connection_->send(builder)) clientIsGone();
}

ghc::Bytes Session::answer() {
  auto message = receive();
  if (!message || !message->isThAnswer()) {
    std::fprintf(stderr, "splicehost: the client answered a splice's question with %s\n",
                 message ? "something else than an answer" : message.error().message.c_str());
    std::exit(1);
  }
  return bytesOf(message->getThAnswer());
}

void Session::noteReference(uint64_t reference) { references_.note(reference); }

}  // namespace splicehost
