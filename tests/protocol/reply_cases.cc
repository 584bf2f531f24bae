#include "tests/protocol/cases.h"

namespace splicehost::testing {

namespace {

using Builder = schema::Reply::Builder;
using Request = schema::Request;

void setDone(Builder reply) { reply.setDone(); }
void setNoPointer(Builder reply) { reply.initMaybePointer().setNothing(); }
void setNoText(Builder reply) { reply.initMaybeText().setNothing(); }

std::function<void(Builder)> pointer(uint64_t value) {
  return [value](Builder reply) { reply.setPointer(value); };
}

std::function<void(Builder)> justPointer(uint64_t value) {
  return [value](Builder reply) { reply.initMaybePointer().setPointer(value); };
}

std::function<void(Builder)> pointers(std::vector<uint64_t> values) {
  return [values](Builder reply) {
    auto list = reply.initPointers(static_cast<uint32_t>(values.size()));
    for (uint32_t i = 0; i < list.size(); ++i) list.set(i, values[i]);
  };
}

schema::EvalResult::Builder complete(Builder reply, uint64_t allocated) {
  auto complete = reply.initEvalStatus().initComplete();
  complete.setAllocatedBytes(allocated);
  return complete.initResult();
}

// A computation that has stopped, with this cost centre stack; both kinds with all that a version says.
std::function<void(Builder)> stop(const ghc::Version& version, bool isException, uint64_t stack) {
  bool hasModules = version.breakLocation == ghc::BreakLocation::kModules;
  return [=](Builder reply) {
    auto stop = reply.initEvalStatus().initBreak();
    stop.setIsException(isException);
    stop.setStack(9);
    stop.setResumeContext(12);
    stop.setCostCentreStack(stack);
    if (isException) return;
    stop.setIndex(10);
    if (hasModules) {
      stop.setModule("M");
      stop.setInfoModule("N.\u03bb");
      stop.setInfoIndex(3);
    } else {
      stop.setModuleUnique(-11);
    }
  };
}

std::function<void(Builder)> exitCode(int64_t code) {
  return [code](Builder reply) {
    auto exit = complete(reply, 1).initException().initExit();
    if (code == 0) {
      exit.setSuccess();
    } else {
      exit.setFailure(code);
    }
  };
}

std::vector<ReplyCase> makeCases(const ghc::Version& version) {
  bool hasModules = version.breakLocation == ghc::BreakLocation::kModules;
  bool hasHandles = version.loadDllAnswer == ghc::LoadDllAnswer::kErrorOrHandle;
  const char* atException = hasModules ? "01 #9 00 #12 #0" : "01 01 #9 #0 #0 #12 #0";
  return {
      {"shutdown", Request::SHUTDOWN, "", setDone},
      {"initLinker", Request::INIT_LINKER, "", setDone},
      {"lookupSymbol", Request::LOOKUP_SYMBOL, "01 #0x400000", justPointer(0x400000)},
      {"lookupSymbolNothing", Request::LOOKUP_SYMBOL, "00", setNoPointer},
      {"lookupClosure", Request::LOOKUP_CLOSURE, "01 #2", justPointer(2)},
      {"lookupClosureNothing", Request::LOOKUP_CLOSURE, "00", setNoPointer},
      {"loadDllFails", Request::LOAD_DLL,
       hasHandles ? "00 #24 'libx.so: 20 'cannot 20 'open 20 edb3bf 20 e4b8ad"
                  : "01 #24 'libx.so: 20 'cannot 20 'open 20 edb3bf 20 e4b8ad",
       [](Builder r) { r.initLoadedDll().setFailed("libx.so: cannot open \xed\xb3\xbf \u4e2d"); }},
      {"loadDll", Request::LOAD_DLL, hasHandles ? "01 #0x1122334455667788" : "00",
       [=](Builder r) { r.initLoadedDll().setHandle(hasHandles ? 0x1122334455667788 : 0); }},
      {"loadArchive", Request::LOAD_ARCHIVE, "", setDone},
      {"loadObj", Request::LOAD_OBJ, "", setDone},
      {"unloadObj", Request::UNLOAD_OBJ, "", setDone},
      {"addLibrarySearchPath", Request::ADD_LIBRARY_SEARCH_PATH, "#0", pointer(0)},
      {"removeLibrarySearchPath", Request::REMOVE_LIBRARY_SEARCH_PATH, "01", [](Builder r) { r.setBool(true); }},
      {"resolveObjs", Request::RESOLVE_OBJS, "00", [](Builder r) { r.setBool(false); }},
      {"findSystemLibrary", Request::FIND_SYSTEM_LIBRARY, "01 #16 '/usr/lib/libm.so",
       [](Builder r) { r.initMaybeText().setText("/usr/lib/libm.so"); }},
      {"findSystemLibraryNothing", Request::FIND_SYSTEM_LIBRARY, "00", setNoText},
      {"createBcos", Request::CREATE_BCOS, "#2 #1 #-1", pointers({1, UINT64_MAX})},
      {"createBcosNone", Request::CREATE_BCOS, "#0", pointers({})},
      {"freeReferences", Request::FREE_REFERENCES, "", setDone},
      {"mallocData", Request::MALLOC_DATA, "#0x7f0000000000", pointer(0x7f0000000000)},
      {"mallocStrings", Request::MALLOC_STRINGS, "#2 #3 #4", pointers({3, 4})},
      {"prepFfi", Request::PREP_FFI, "#5", pointer(5)},
      {"freeFfi", Request::FREE_FFI, "", setDone},
      {"mkConInfoTable", Request::MK_CON_INFO_TABLE, "#6", pointer(6)},
      {"evalStmt", Request::EVAL_STMT, "00 #1000 01 #2 #7 #8",
       [](Builder r) {
         auto references = complete(r, 1000).initReferences(2);
         references.set(0, 7);
         references.set(1, 8);
       }},
      {"evalStmtNoValues", Request::EVAL_STMT, "00 #0 01 #0", [](Builder r) { complete(r, 0).initReferences(0); }},
      {"evalStmtInterrupted", Request::EVAL_STMT, "00 #1 00 00",
       [](Builder r) { complete(r, 1).initException().setUserInterrupt(); }},
      {"evalStmtExitSuccess", Request::EVAL_STMT, "00 #1 00 01 00", exitCode(0)},
      {"evalStmtExitFailure", Request::EVAL_STMT, "00 #1 00 01 01 #3", exitCode(3)},
      {"evalStmtExitNegative", Request::EVAL_STMT, "00 #1 00 01 01 #-1", exitCode(-1)},
      {"evalStmtException", Request::EVAL_STMT, "00 #1 00 02 #5 'bad 20 cebb",
       [](Builder r) { complete(r, 1).initException().setOther("bad \u03bb"); }},
      {"resumeStmtBreak", Request::RESUME_STMT,
       hasModules ? "01 #9 01 #1 'M #10 #3 'N. cebb #3 #12 #13" : "01 00 #9 #10 #-11 #12 #13",
       stop(version, false, 13)},
      {"resumeStmtBreakOnException", Request::RESUME_STMT, atException, stop(version, true, 0)},
      {"abandonStmt", Request::ABANDON_STMT, "", setDone},
      {"evalString", Request::EVAL_STRING, "01 #3 'a 00 f09f9880",
       [](Builder r) {
         constexpr char kText[] = "a\0\U0001f600";
         r.initEvalString().setText({kText, sizeof kText - 1});
       }},
      {"evalStringException", Request::EVAL_STRING, "00 02 #0",
       [](Builder r) { r.initEvalString().initException().setOther(""); }},
      {"evalStringToString", Request::EVAL_STRING_TO_STRING, "01 #0",
       [](Builder r) { r.initEvalString().setText(""); }},
      {"evalIo", Request::EVAL_IO, "01", [](Builder r) { r.initEvalUnit().setNone(); }},
      {"evalIoInterrupted", Request::EVAL_IO, "00 00",
       [](Builder r) { r.initEvalUnit().initException().setUserInterrupt(); }},
      {"mkCostCentres", Request::MK_COST_CENTRES, "#1 #14", pointers({14})},
      {"costCentreStackInfo", Request::COST_CENTRE_STACK_INFO, "#3 #14 'M.f 20 '(M.hs:1:1) #0 #3 'M. cebb",
       [](Builder r) {
         auto texts = r.initTexts(3);
         texts.set(0, "M.f (M.hs:1:1)");
         texts.set(1, "");
         texts.set(2, "M.\u03bb");
       }},
      {"costCentreStackInfoNone", Request::COST_CENTRE_STACK_INFO, "#0", [](Builder r) { r.initTexts(0); }},
      {"newBreakArray", Request::NEW_BREAK_ARRAY, "#15", pointer(15)},
      {"enableBreakpoint", Request::ENABLE_BREAKPOINT, "", setDone},
      {"setupBreakpoint", Request::SETUP_BREAKPOINT, "", setDone},
      {"breakpointStatus", Request::BREAKPOINT_STATUS, "01", [](Builder r) { r.setBool(true); }},
      {"getBreakpointVar", Request::GET_BREAKPOINT_VAR, "01 #16", justPointer(16)},
      {"getBreakpointVarNothing", Request::GET_BREAKPOINT_VAR, "00", setNoPointer},
      {"startTh", Request::START_TH, "#17", pointer(17)},
      {"runModFinalizers", Request::RUN_MOD_FINALIZERS, "00", [](Builder r) { r.initQResult().setNone(); }},
      {"runModFinalizersException", Request::RUN_MOD_FINALIZERS, "01 #4 'late",
       [](Builder r) { r.initQResult().setException("late"); }},
      {"addSptEntry", Request::ADD_SPT_ENTRY, "", setDone},
      {"runTh", Request::RUN_TH, "00 #3 0100ff",
       [](Builder r) {
         auto bytes = r.initQResult().initDone(3);
         bytes[0] = 1;
         bytes[2] = 255;
       }},
      {"runThEmpty", Request::RUN_TH, "00 #0", [](Builder r) { r.initQResult().initDone(0); }},
      {"runThException", Request::RUN_TH, "01 #2 'x cebb", [](Builder r) { r.initQResult().setException("x\u03bb"); }},
      {"runThFail", Request::RUN_TH, "02 #0", [](Builder r) { r.initQResult().setFail(""); }},
      {"seq", Request::SEQ, "00 #2 01", [](Builder r) { complete(r, 2).setNone(); }},
      {"seqBreak", Request::SEQ, atException, stop(version, true, 0)},
      {"rtsRevertCafs", Request::RTS_REVERT_CAFS, "", setDone},
      {"resumeSeqException", Request::RESUME_SEQ, "00 #2 00 02 #1 'x",
       [](Builder r) { complete(r, 2).initException().setOther("x"); }},
      {"newBreakModule", Request::NEW_BREAK_MODULE, "#27", pointer(27)},
      {"lookupSymbolInDll", Request::LOOKUP_SYMBOL_IN_DLL, "01 #28", justPointer(28)},
      {"lookupSymbolInDllNothing", Request::LOOKUP_SYMBOL_IN_DLL, "00", setNoPointer},
  };
}

}  // namespace

std::vector<ReplyCase> replyCases(const ghc::Version& version) {
  std::vector<ReplyCase> cases = makeCases(version);
  std::erase_if(cases, [&](const ReplyCase& each) { return ghc::requestTag(version, each.request) < 0; });
  return cases;
}

}  // namespace splicehost::testing
