#include "protocol/ghc_messages.h"

namespace splicehost::ghc {

namespace {

using schema::Reply;
using schema::Request;

capnp::Text::Reader text(const std::string& string) { return {string.data(), string.size()}; }

std::string_view view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

capnp::Data::Reader data(Bytes bytes) {
  return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()};
}

Bytes bytesOf(capnp::Data::Reader data) {
  return {reinterpret_cast<const std::byte*>(data.begin()), data.size()};
}

// --- Lists -------------------------------------------------------------------------------------

template <typename InitList>
void readWords(Reader& in, InitList initList) {
  auto list = initList(in.listLength(8));
  for (uint32_t i = 0; i < list.size(); ++i) list.set(i, in.word());
}

// True if everything that `skip` reads has arrived; otherwise `in` knows what is missing or wrong.
// A message that arrives in many pieces is decoded as many times, and its builder never gives back what
// a list has taken: lists of things that vary in size wait until they are complete.
template <typename Skip>
bool arrived(Reader& in, Skip skip) {
  Reader ahead = in;
  skip(ahead);
  if (!ahead.ok()) in = ahead;
  return ahead.ok();
}

template <typename InitList>
void readByteStrings(Reader& in, InitList initList) {
  bool complete = arrived(in, [](Reader& ahead) {
    for (uint32_t left = ahead.listLength(8); left > 0 && ahead.ok(); --left) ahead.byteString();
  });
  if (!complete) return;
  auto list = initList(in.listLength(8));
  for (uint32_t i = 0; i < list.size(); ++i) list.set(i, data(in.byteString()));
}

void writeWords(Writer& out, capnp::List<uint64_t>::Reader list) {
  out.word(list.size());
  for (uint64_t word : list) out.word(word);
}

void writeByteStrings(Writer& out, capnp::List<capnp::Data>::Reader list) {
  out.word(list.size());
  for (auto element : list) out.byteString(bytesOf(element));
}

// --- Parts of requests -------------------------------------------------------------------------

// Deeper applications than this are not what GHC sends, and would exhaust the stack.
constexpr int kMaxExpressionDepth = 50;

void readExpression(Reader& in, schema::EvalExpression::Builder expression, int depth) {
  if (in.constructor(2, "EvalExpr") == 0) {
    expression.setThis(in.word());
  } else if (depth == kMaxExpressionDepth) {
    in.fail("an expression is nested too deeply");
  } else if (in.ok()) {
    auto apply = expression.initApply();
    readExpression(in, apply.initFunction(), depth + 1);
    readExpression(in, apply.initArgument(), depth + 1);
  }
}

void writeExpression(Writer& out, schema::EvalExpression::Reader expression) {
  if (expression.isThis()) {
    out.byte(0);
    out.word(expression.getThis());
  } else {
    out.byte(1);
    writeExpression(out, expression.getApply().getFunction());
    writeExpression(out, expression.getApply().getArgument());
  }
}

void readOptions(Reader& in, schema::EvalOptions::Builder options) {
  options.setSandboxThread(in.boolean());
  options.setSingleStep(in.boolean());
  options.setBreakOnException(in.boolean());
  options.setBreakOnError(in.boolean());
}

void writeOptions(Writer& out, schema::EvalOptions::Reader options) {
  out.boolean(options.getSandboxThread());
  out.boolean(options.getSingleStep());
  out.boolean(options.getBreakOnException());
  out.boolean(options.getBreakOnError());
}

void readSplice(Reader& in, schema::Splice::Builder splice) {
  splice.setState(in.word());
  splice.setCode(in.word());
  splice.setKind(static_cast<schema::SpliceKind>(in.constructor(5, "THResultType")));
  if (in.constructor(2, "Maybe") == 0) return;
  auto location = splice.initLocation();
  location.setFile(text(in.string()));
  location.setPackage(text(in.string()));
  location.setModule(text(in.string()));
  location.setStartLine(in.integer());
  location.setStartColumn(in.integer());
  location.setEndLine(in.integer());
  location.setEndColumn(in.integer());
}

void writeSplice(Writer& out, schema::Splice::Reader splice) {
  out.word(splice.getState());
  out.word(splice.getCode());
  out.byte(static_cast<uint8_t>(splice.getKind()));
  out.boolean(splice.hasLocation());
  if (!splice.hasLocation()) return;
  auto location = splice.getLocation();
  out.string(view(location.getFile()));
  out.string(view(location.getPackage()));
  out.string(view(location.getModule()));
  out.integer(location.getStartLine());
  out.integer(location.getStartColumn());
  out.integer(location.getEndLine());
  out.integer(location.getEndColumn());
}

constexpr uint8_t kForeignTypes = 12;

void readForeignCall(Reader& in, schema::ForeignCall::Builder call) {
  call.setStdCall(in.constructor(2, "FFIConv") == 1);
  auto arguments = call.initArguments(in.listLength(1));
  for (uint32_t i = 0; i < arguments.size() && in.ok(); ++i) {
    arguments.set(i, static_cast<schema::ForeignType>(in.constructor(kForeignTypes, "FFIType")));
  }
  call.setResult(static_cast<schema::ForeignType>(in.constructor(kForeignTypes, "FFIType")));
}

void readConstructorInfo(Reader& in, schema::ConstructorInfo::Builder info) {
  info.setTablesNextToCode(in.boolean());
  info.setPointerWords(in.integer());
  info.setNonPointerWords(in.integer());
  info.setConstructorTag(in.integer());
  info.setPointerTag(in.integer());
  info.setDescription(data(in.byteString()));
}

void writeConstructorInfo(Writer& out, schema::ConstructorInfo::Reader info) {
  out.boolean(info.getTablesNextToCode());
  out.integer(info.getPointerWords());
  out.integer(info.getNonPointerWords());
  out.integer(info.getConstructorTag());
  out.integer(info.getPointerTag());
  out.byteString(bytesOf(info.getDescription()));
}

void readCostCentres(Reader& in, schema::CostCentres::Builder message) {
  bool complete = arrived(in, [](Reader& ahead) {
    ahead.string();
    for (uint32_t left = ahead.listLength(16); left > 0 && ahead.ok(); --left) {
      ahead.string();
      ahead.string();
    }
  });
  if (!complete) return;
  message.setModule(text(in.string()));
  auto centres = message.initCentres(in.listLength(16));
  for (uint32_t i = 0; i < centres.size(); ++i) {
    centres[i].setName(text(in.string()));
    centres[i].setSourceSpan(text(in.string()));
  }
}

void writeCostCentres(Writer& out, schema::CostCentres::Reader message) {
  out.string(view(message.getModule()));
  out.word(message.getCentres().size());
  for (auto centre : message.getCentres()) {
    out.string(view(centre.getName()));
    out.string(view(centre.getSourceSpan()));
  }
}

// --- Parts of replies --------------------------------------------------------------------------

void writeException(Writer& out, schema::EvalException::Reader exception) {
  switch (exception.which()) {
    case schema::EvalException::USER_INTERRUPT:
      out.byte(0);
      break;
    case schema::EvalException::EXIT_CODE:
      out.byte(1);
      out.boolean(exception.getExitCode() != 0);
      if (exception.getExitCode() != 0) out.integer(exception.getExitCode());
      break;
    case schema::EvalException::OTHER:
      out.byte(2);
      out.string(view(exception.getOther()));
      break;
  }
}

void readException(Reader& in, schema::EvalException::Builder exception) {
  switch (in.constructor(3, "SerializableException")) {
    case 0:
      exception.setUserInterrupt();
      break;
    case 1:
      exception.setExitCode(in.constructor(2, "ExitCode") == 0 ? 0 : in.integer());
      break;
    case 2:
      exception.setOther(text(in.string()));
      break;
  }
}

// What an EvalResult holds if it is a success.
enum class ResultValue { kUnit, kReferences, kText };

ResultValue resultValue(Request::Which which) {
  switch (which) {
    case Request::EVAL_STMT:
    case Request::RESUME_STMT:
      return ResultValue::kReferences;
    case Request::EVAL_STRING:
    case Request::EVAL_STRING_TO_STRING:
      return ResultValue::kText;
    default:
      return ResultValue::kUnit;
  }
}

void writeEvalResult(Writer& out, Request::Which which, schema::EvalResult::Reader result) {
  if (result.isException()) {
    out.byte(0);
    writeException(out, result.getException());
    return;
  }
  out.byte(1);
  switch (resultValue(which)) {
    case ResultValue::kUnit:
      break;
    case ResultValue::kReferences:
      writeWords(out, result.getReferences());
      break;
    case ResultValue::kText:
      out.string(view(result.getText()));
      break;
  }
}

void readEvalResult(Reader& in, Request::Which which, schema::EvalResult::Builder result) {
  if (in.constructor(2, "EvalResult") == 0) {
    readException(in, result.initException());
    return;
  }
  switch (resultValue(which)) {
    case ResultValue::kUnit:
      result.initReferences(0);
      break;
    case ResultValue::kReferences:
      readWords(in, [&](uint32_t size) { return result.initReferences(size); });
      break;
    case ResultValue::kText:
      result.setText(text(in.string()));
      break;
  }
}

void writeEvalStatus(const Version& version, Writer& out, Request::Which which,
                     schema::EvalStatus::Reader status) {
  if (status.isComplete()) {
    out.byte(0);
    out.word(status.getComplete().getAllocatedBytes());
    writeEvalResult(out, which, status.getComplete().getResult());
    return;
  }
  auto stop = status.getBreak();
  out.byte(1);
  switch (version.breakLocation) {
    case BreakLocation::kUnique:
      out.boolean(stop.getIsException());
      out.word(stop.getStack());
      out.integer(stop.getIndex());
      out.integer(stop.getModuleUnique());
      break;
    case BreakLocation::kModules:
      out.word(stop.getStack());
      out.boolean(!stop.getIsException());
      if (stop.getIsException()) break;
      out.string(view(stop.getModule()));
      out.integer(stop.getIndex());
      out.string(view(stop.getInfoModule()));
      out.integer(stop.getInfoIndex());
      break;
  }
  out.word(stop.getResumeContext());
  out.word(stop.getCostCentreStack());
}

void readEvalStatus(const Version& version, Reader& in, Request::Which which,
                    schema::EvalStatus::Builder status) {
  if (in.constructor(2, "EvalStatus") == 0) {
    auto complete = status.initComplete();
    complete.setAllocatedBytes(in.word());
    readEvalResult(in, which, complete.initResult());
    return;
  }
  auto stop = status.initBreak();
  switch (version.breakLocation) {
    case BreakLocation::kUnique:
      stop.setIsException(in.boolean());
      stop.setStack(in.word());
      stop.setIndex(in.integer());
      stop.setModuleUnique(in.integer());
      break;
    case BreakLocation::kModules:
      stop.setStack(in.word());
      stop.setIsException(in.constructor(2, "Maybe") == 0);
      if (stop.getIsException()) break;
      stop.setModule(text(in.string()));
      stop.setIndex(in.integer());
      stop.setInfoModule(text(in.string()));
      stop.setInfoIndex(in.integer());
      break;
  }
  stop.setResumeContext(in.word());
  stop.setCostCentreStack(in.word());
}

// Both types are a string for a failure; a success is the first constructor of Maybe, and the second of
// Either.
void writeLoadedDll(const Version& version, Writer& out, schema::LoadedDll::Reader loaded) {
  switch (version.loadDllAnswer) {
    case LoadDllAnswer::kMaybeError:
      out.boolean(loaded.isFailed());
      if (loaded.isFailed()) out.string(view(loaded.getFailed()));
      break;
    case LoadDllAnswer::kErrorOrHandle:
      out.boolean(loaded.isHandle());
      if (loaded.isHandle()) {
        out.word(loaded.getHandle());
      } else {
        out.string(view(loaded.getFailed()));
      }
      break;
  }
}

void readLoadedDll(const Version& version, Reader& in, schema::LoadedDll::Builder loaded) {
  switch (version.loadDllAnswer) {
    case LoadDllAnswer::kMaybeError:
      if (in.constructor(2, "Maybe") == 0) {
        loaded.setHandle(0);
      } else {
        loaded.setFailed(text(in.string()));
      }
      break;
    case LoadDllAnswer::kErrorOrHandle:
      if (in.constructor(2, "Either") == 0) {
        loaded.setFailed(text(in.string()));
      } else {
        loaded.setHandle(in.word());
      }
      break;
  }
}

void writeQResult(Writer& out, Request::Which which, schema::QResult::Reader result) {
  switch (result.which()) {
    case schema::QResult::DONE:
      out.byte(0);
      // runModFinalizers has a unit for its value, which takes no bytes.
      if (which == Request::RUN_TH) out.byteString(bytesOf(result.getDone()));
      break;
    case schema::QResult::EXCEPTION:
      out.byte(1);
      out.string(view(result.getException()));
      break;
    case schema::QResult::FAIL:
      out.byte(2);
      out.string(view(result.getFail()));
      break;
  }
}

void readQResult(Reader& in, Request::Which which, schema::QResult::Builder result) {
  switch (in.constructor(3, "QResult")) {
    case 0:
      if (which == Request::RUN_TH) {
        result.setDone(data(in.byteString()));
      } else {
        result.initDone(0);
      }
      break;
    case 1:
      result.setException(text(in.string()));
      break;
    case 2:
      result.setFail(text(in.string()));
      break;
  }
}

void readRequest(Reader& in, Request::Which which, Request::Builder request) {
  switch (which) {
    case Request::SHUTDOWN:
      return request.setShutdown();
    case Request::RTS_REVERT_CAFS:
      return request.setRtsRevertCafs();
    case Request::INIT_LINKER:
      return request.setInitLinker();
    case Request::LOOKUP_SYMBOL:
      return request.setLookupSymbol(text(in.string()));
    case Request::LOOKUP_CLOSURE:
      return request.setLookupClosure(text(in.string()));
    case Request::LOOKUP_SYMBOL_IN_DLL: {
      auto lookup = request.initLookupSymbolInDll();
      lookup.setHandle(in.word());
      return lookup.setSymbol(text(in.string()));
    }
    case Request::LOAD_DLL:
      return request.setLoadDll(text(in.string()));
    case Request::LOAD_ARCHIVE:
      return request.setLoadArchive(text(in.string()));
    case Request::LOAD_OBJ:
      return request.setLoadObj(text(in.string()));
    case Request::UNLOAD_OBJ:
      return request.setUnloadObj(text(in.string()));
    case Request::ADD_LIBRARY_SEARCH_PATH:
      return request.setAddLibrarySearchPath(text(in.string()));
    case Request::REMOVE_LIBRARY_SEARCH_PATH:
      return request.setRemoveLibrarySearchPath(in.word());
    case Request::RESOLVE_OBJS:
      return request.setResolveObjs();
    case Request::FIND_SYSTEM_LIBRARY:
      return request.setFindSystemLibrary(text(in.string()));
    case Request::CREATE_BCOS:
      return readByteStrings(in, [&](uint32_t n) { return request.initCreateBcos(n); });
    case Request::FREE_REFERENCES:
      return readWords(in, [&](uint32_t n) { return request.initFreeReferences(n); });
    case Request::ADD_SPT_ENTRY: {
      auto entry = request.initAddSptEntry();
      entry.setFingerprintHigh(in.word());
      entry.setFingerprintLow(in.word());
      entry.setReference(in.word());
      return;
    }
    case Request::MALLOC_DATA:
      return request.setMallocData(data(in.byteString()));
    case Request::MALLOC_STRINGS:
      return readByteStrings(in, [&](uint32_t n) { return request.initMallocStrings(n); });
    case Request::PREP_FFI:
      return readForeignCall(in, request.initPrepFfi());
    case Request::FREE_FFI:
      return request.setFreeFfi(in.word());
    case Request::MK_CON_INFO_TABLE:
      return readConstructorInfo(in, request.initMkConInfoTable());
    case Request::EVAL_STMT: {
      auto statement = request.initEvalStmt();
      readOptions(in, statement.initOptions());
      return readExpression(in, statement.initExpression(), 0);
    }
    case Request::RESUME_STMT: {
      auto resume = request.initResumeStmt();
      readOptions(in, resume.initOptions());
      return resume.setContext(in.word());
    }
    case Request::ABANDON_STMT:
      return request.setAbandonStmt(in.word());
    case Request::EVAL_STRING:
      return request.setEvalString(in.word());
    case Request::EVAL_STRING_TO_STRING: {
      auto call = request.initEvalStringToString();
      call.setFunction(in.word());
      return call.setArgument(text(in.string()));
    }
    case Request::EVAL_IO:
      return request.setEvalIo(in.word());
    case Request::MK_COST_CENTRES:
      return readCostCentres(in, request.initMkCostCentres());
    case Request::COST_CENTRE_STACK_INFO:
      return request.setCostCentreStackInfo(in.word());
    case Request::NEW_BREAK_ARRAY:
      return request.setNewBreakArray(in.integer());
    case Request::ENABLE_BREAKPOINT:
    case Request::BREAKPOINT_STATUS: {
      bool enable = which == Request::ENABLE_BREAKPOINT;
      auto breakpoint = enable ? request.initEnableBreakpoint() : request.initBreakpointStatus();
      breakpoint.setArray(in.word());
      breakpoint.setIndex(in.integer());
      if (enable) breakpoint.setEnable(in.boolean());
      return;
    }
    case Request::SETUP_BREAKPOINT: {
      auto setup = request.initSetupBreakpoint();
      setup.setArray(in.word());
      setup.setIndex(in.integer());
      return setup.setIgnoreCount(in.integer());
    }
    case Request::NEW_BREAK_MODULE:
      return request.setNewBreakModule(text(in.string()));
    case Request::GET_BREAKPOINT_VAR: {
      auto variable = request.initGetBreakpointVar();
      variable.setStack(in.word());
      return variable.setDepth(in.integer());
    }
    case Request::START_TH:
      return request.setStartTh();
    case Request::RUN_TH:
      return readSplice(in, request.initRunTh());
    case Request::RUN_MOD_FINALIZERS: {
      auto message = request.initRunModFinalizers();
      message.setState(in.word());
      return readWords(in, [&](uint32_t n) { return message.initFinalizers(n); });
    }
    case Request::GET_CLOSURE:
      return request.setGetClosure(in.word());
    case Request::SEQ:
      return request.setSeq(in.word());
    case Request::RESUME_SEQ:
      return request.setResumeSeq(in.word());
    case Request::PLACE_DATA:
      // GHC has no such message.
      return;
  }
}

}  // namespace

Result<Decoded> decodeRequest(const Version& version, Bytes bytes, Request::Builder request) {
  Reader in(bytes, kMessageLimit);
  uint8_t tag = in.byte();
  if (in.ok() && tag >= version.requests.size()) {
    return Error{"unknown message tag " + std::to_string(tag) + " at offset 0 (GHC " +
                 std::string(version.name) + " has tags 0 to " +
                 std::to_string(version.requests.size() - 1) + ")"};
  }
  if (in.ok()) readRequest(in, version.requests[tag], request);
  if (in.malformed()) return in.error().within("message with tag " + std::to_string(tag));
  if (in.missing() > 0) return Decoded{0, in.missing()};
  return Decoded{in.offset(), 0};
}

void encodeRequest(const Version& version, Request::Reader request, Writer& out) {
  out.byte(static_cast<uint8_t>(requestTag(version, request.which())));
  switch (request.which()) {
    case Request::SHUTDOWN:
    case Request::RTS_REVERT_CAFS:
    case Request::INIT_LINKER:
    case Request::RESOLVE_OBJS:
    case Request::START_TH:
      return;
    case Request::LOOKUP_SYMBOL:
      return out.string(view(request.getLookupSymbol()));
    case Request::LOOKUP_CLOSURE:
      return out.string(view(request.getLookupClosure()));
    case Request::LOOKUP_SYMBOL_IN_DLL:
      out.word(request.getLookupSymbolInDll().getHandle());
      return out.string(view(request.getLookupSymbolInDll().getSymbol()));
    case Request::LOAD_DLL:
      return out.string(view(request.getLoadDll()));
    case Request::LOAD_ARCHIVE:
      return out.string(view(request.getLoadArchive()));
    case Request::LOAD_OBJ:
      return out.string(view(request.getLoadObj()));
    case Request::UNLOAD_OBJ:
      return out.string(view(request.getUnloadObj()));
    case Request::ADD_LIBRARY_SEARCH_PATH:
      return out.string(view(request.getAddLibrarySearchPath()));
    case Request::REMOVE_LIBRARY_SEARCH_PATH:
      return out.word(request.getRemoveLibrarySearchPath());
    case Request::FIND_SYSTEM_LIBRARY:
      return out.string(view(request.getFindSystemLibrary()));
    case Request::CREATE_BCOS:
      return writeByteStrings(out, request.getCreateBcos());
    case Request::FREE_REFERENCES:
      return writeWords(out, request.getFreeReferences());
    case Request::ADD_SPT_ENTRY:
      out.word(request.getAddSptEntry().getFingerprintHigh());
      out.word(request.getAddSptEntry().getFingerprintLow());
      return out.word(request.getAddSptEntry().getReference());
    case Request::MALLOC_DATA:
      return out.byteString(bytesOf(request.getMallocData()));
    case Request::MALLOC_STRINGS:
      return writeByteStrings(out, request.getMallocStrings());
    case Request::PREP_FFI: {
      auto call = request.getPrepFfi();
      out.boolean(call.getStdCall());
      out.word(call.getArguments().size());
      for (auto type : call.getArguments()) out.byte(static_cast<uint8_t>(type));
      return out.byte(static_cast<uint8_t>(call.getResult()));
    }
    case Request::FREE_FFI:
      return out.word(request.getFreeFfi());
    case Request::MK_CON_INFO_TABLE:
      return writeConstructorInfo(out, request.getMkConInfoTable());
    case Request::EVAL_STMT:
      writeOptions(out, request.getEvalStmt().getOptions());
      return writeExpression(out, request.getEvalStmt().getExpression());
    case Request::RESUME_STMT:
      writeOptions(out, request.getResumeStmt().getOptions());
      return out.word(request.getResumeStmt().getContext());
    case Request::ABANDON_STMT:
      return out.word(request.getAbandonStmt());
    case Request::EVAL_STRING:
      return out.word(request.getEvalString());
    case Request::EVAL_STRING_TO_STRING:
      out.word(request.getEvalStringToString().getFunction());
      return out.string(view(request.getEvalStringToString().getArgument()));
    case Request::EVAL_IO:
      return out.word(request.getEvalIo());
    case Request::MK_COST_CENTRES:
      return writeCostCentres(out, request.getMkCostCentres());
    case Request::COST_CENTRE_STACK_INFO:
      return out.word(request.getCostCentreStackInfo());
    case Request::NEW_BREAK_ARRAY:
      return out.integer(request.getNewBreakArray());
    case Request::ENABLE_BREAKPOINT:
      out.word(request.getEnableBreakpoint().getArray());
      out.integer(request.getEnableBreakpoint().getIndex());
      return out.boolean(request.getEnableBreakpoint().getEnable());
    case Request::BREAKPOINT_STATUS:
      out.word(request.getBreakpointStatus().getArray());
      return out.integer(request.getBreakpointStatus().getIndex());
    case Request::SETUP_BREAKPOINT:
      out.word(request.getSetupBreakpoint().getArray());
      out.integer(request.getSetupBreakpoint().getIndex());
      return out.integer(request.getSetupBreakpoint().getIgnoreCount());
    case Request::NEW_BREAK_MODULE:
      return out.string(view(request.getNewBreakModule()));
    case Request::GET_BREAKPOINT_VAR:
      out.word(request.getGetBreakpointVar().getStack());
      return out.integer(request.getGetBreakpointVar().getDepth());
    case Request::RUN_TH:
      return writeSplice(out, request.getRunTh());
    case Request::RUN_MOD_FINALIZERS:
      out.word(request.getRunModFinalizers().getState());
      return writeWords(out, request.getRunModFinalizers().getFinalizers());
    case Request::GET_CLOSURE:
      return out.word(request.getGetClosure());
    case Request::SEQ:
      return out.word(request.getSeq());
    case Request::RESUME_SEQ:
      return out.word(request.getResumeSeq());
    case Request::PLACE_DATA:
      // GHC has no such message.
      return;
  }
}

uint64_t sharedObjectHandle(std::string_view name) {
  // FNV-1a.
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash != 0 ? hash : 1;
}

Reply::Which replyKind(Request::Which which) {
  switch (which) {
    case Request::SHUTDOWN:
    case Request::RTS_REVERT_CAFS:
    case Request::INIT_LINKER:
    case Request::LOAD_ARCHIVE:
    case Request::LOAD_OBJ:
    case Request::UNLOAD_OBJ:
    case Request::FREE_REFERENCES:
    case Request::ADD_SPT_ENTRY:
    case Request::FREE_FFI:
    case Request::ABANDON_STMT:
    case Request::ENABLE_BREAKPOINT:
    case Request::SETUP_BREAKPOINT:
    case Request::PLACE_DATA:
      return Reply::DONE;
    case Request::REMOVE_LIBRARY_SEARCH_PATH:
    case Request::RESOLVE_OBJS:
    case Request::BREAKPOINT_STATUS:
      return Reply::BOOL;
    case Request::ADD_LIBRARY_SEARCH_PATH:
    case Request::MALLOC_DATA:
    case Request::PREP_FFI:
    case Request::MK_CON_INFO_TABLE:
    case Request::NEW_BREAK_ARRAY:
    case Request::NEW_BREAK_MODULE:
    case Request::START_TH:
      return Reply::POINTER;
    case Request::LOOKUP_SYMBOL:
    case Request::LOOKUP_CLOSURE:
    case Request::LOOKUP_SYMBOL_IN_DLL:
    case Request::GET_BREAKPOINT_VAR:
      return Reply::MAYBE_POINTER;
    case Request::CREATE_BCOS:
    case Request::MALLOC_STRINGS:
    case Request::MK_COST_CENTRES:
      return Reply::POINTERS;
    case Request::LOAD_DLL:
      return Reply::LOADED_DLL;
    case Request::FIND_SYSTEM_LIBRARY:
      return Reply::MAYBE_TEXT;
    case Request::COST_CENTRE_STACK_INFO:
      return Reply::TEXTS;
    case Request::EVAL_STMT:
    case Request::RESUME_STMT:
    case Request::SEQ:
    case Request::RESUME_SEQ:
      return Reply::EVAL_STATUS;
    case Request::EVAL_IO:
      return Reply::EVAL_UNIT;
    case Request::EVAL_STRING:
    case Request::EVAL_STRING_TO_STRING:
      return Reply::EVAL_STRING;
    case Request::RUN_TH:
    case Request::RUN_MOD_FINALIZERS:
      return Reply::Q_RESULT;
    case Request::GET_CLOSURE:
      return Reply::CLOSURE;
  }
  return Reply::FAILED;
}

Status encodeReply(const Version& version, Request::Which which, Reply::Reader reply, Writer& out) {
  if (reply.which() == Reply::FAILED) {
    auto reason = reply.getFailed();
    return Error{std::string(view(reason))};
  }
  if (reply.which() != replyKind(which)) {
    return Error{"the interpreter's reply is of kind " +
                 std::to_string(static_cast<int>(reply.which())) + ", not " +
                 std::to_string(static_cast<int>(replyKind(which)))};
  }
  switch (reply.which()) {
    case Reply::DONE:
    case Reply::FAILED:
      break;
    case Reply::BOOL:
      out.boolean(reply.getBool());
      break;
    case Reply::POINTER:
      out.word(reply.getPointer());
      break;
    case Reply::MAYBE_POINTER: {
      auto maybe = reply.getMaybePointer();
      out.boolean(maybe.isPointer());
      if (maybe.isPointer()) out.word(maybe.getPointer());
      break;
    }
    case Reply::POINTERS:
      writeWords(out, reply.getPointers());
      break;
    case Reply::MAYBE_TEXT: {
      auto maybe = reply.getMaybeText();
      out.boolean(maybe.isText());
      if (maybe.isText()) out.string(view(maybe.getText()));
      break;
    }
    case Reply::TEXTS:
      out.word(reply.getTexts().size());
      for (auto element : reply.getTexts()) out.string(view(element));
      break;
    case Reply::EVAL_STATUS:
      writeEvalStatus(version, out, which, reply.getEvalStatus());
      break;
    case Reply::EVAL_UNIT:
      writeEvalResult(out, which, reply.getEvalUnit());
      break;
    case Reply::EVAL_STRING:
      writeEvalResult(out, which, reply.getEvalString());
      break;
    case Reply::Q_RESULT:
      out.byte(version.runTHDoneTag);
      writeQResult(out, which, reply.getQResult());
      break;
    case Reply::CLOSURE:
      out.raw(bytesOf(reply.getClosure()));
      break;
    case Reply::LOADED_DLL:
      writeLoadedDll(version, out, reply.getLoadedDll());
      break;
  }
  return Done{};
}

Status decodeReply(const Version& version, Request::Which which, Bytes bytes,
                   Reply::Builder reply) {
  Reader in(bytes, kMessageLimit);
  switch (replyKind(which)) {
    case Reply::DONE:
    case Reply::FAILED:
      reply.setDone();
      break;
    case Reply::BOOL:
      reply.setBool(in.boolean());
      break;
    case Reply::POINTER:
      reply.setPointer(in.word());
      break;
    case Reply::MAYBE_POINTER: {
      auto maybe = reply.initMaybePointer();
      if (in.constructor(2, "Maybe") == 1) maybe.setPointer(in.word());
      break;
    }
    case Reply::POINTERS:
      readWords(in, [&](uint32_t n) { return reply.initPointers(n); });
      break;
    case Reply::MAYBE_TEXT: {
      auto maybe = reply.initMaybeText();
      if (in.constructor(2, "Maybe") == 1) maybe.setText(text(in.string()));
      break;
    }
    case Reply::TEXTS: {
      auto texts = reply.initTexts(in.listLength(8));
      for (uint32_t i = 0; i < texts.size() && in.ok(); ++i) texts.set(i, text(in.string()));
      break;
    }
    case Reply::EVAL_STATUS:
      readEvalStatus(version, in, which, reply.initEvalStatus());
      break;
    case Reply::EVAL_UNIT:
      readEvalResult(in, which, reply.initEvalUnit());
      break;
    case Reply::EVAL_STRING:
      readEvalResult(in, which, reply.initEvalString());
      break;
    case Reply::Q_RESULT:
      readQResult(in, which, reply.initQResult());
      break;
    case Reply::CLOSURE:
      reply.setClosure(data(bytes));
      return Done{};
    case Reply::LOADED_DLL:
      readLoadedDll(version, in, reply.initLoadedDll());
      break;
  }
  if (in.malformed()) return in.error();
  if (in.missing() > 0) return Error{"the answer is cut short"};
  if (in.offset() != bytes.size()) {
    return Error{std::to_string(bytes.size() - in.offset()) + " bytes follow the answer"};
  }
  return Done{};
}

}  // namespace splicehost::ghc
