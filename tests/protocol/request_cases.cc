#include "tests/protocol/cases.h"

#include <capnp/message.h>

namespace splicehost::testing {

namespace {

using Builder = schema::Request::Builder;

capnp::Text::Reader text(const std::string& string) { return {string.data(), string.size()}; }

capnp::Data::Reader data(const std::string& string) {
  return {reinterpret_cast<const capnp::byte*>(string.data()), string.size()};
}

void setOptions(schema::EvalOptions::Builder options, bool sandbox, bool step, bool exception, bool error) {
  options.setSandboxThread(sandbox);
  options.setSingleStep(step);
  options.setBreakOnException(exception);
  options.setBreakOnError(error);
}

void setSplice(Builder request, uint64_t code, schema::SpliceKind kind) {
  auto splice = request.initRunTh();
  splice.setState(20);
  splice.setCode(code);
  splice.setKind(kind);
}

std::vector<RequestCase> makeCases() {
  return {
      {"shutdown", "00", [](Builder r) { r.setShutdown(); }},
      {"initLinker", "01", [](Builder r) { r.setInitLinker(); }},
      {"lookupSymbol", "02 #27 'base_GHCziBase_zzip_closure",
       [](Builder r) { r.setLookupSymbol("base_GHCziBase_zzip_closure"); }},
      {"lookupClosureGreek", "03 #15 'main_x cebb '_closure",
       [](Builder r) { r.setLookupClosure("main_x\u03bb_closure"); }},
      {"loadDll", "04 #9 'libm.so.6", [](Builder r) { r.setLoadDll("libm.so.6"); }},
      {"loadArchiveOfAllLengths", "05 #15 '/lib/caf c3a9 '/ e4b8ad '/ f09d849e '.a",
       [](Builder r) { r.setLoadArchive("/lib/caf\u00e9/\u4e2d/\U0001d11e.a"); }},
      // GHC's name for the file "/t/caf\xe9.o" in a UTF-8 locale.
      {"loadObjUndecodable", "06 #9 '/t/caf edb3a9 '.o", [](Builder r) { r.setLoadObj("/t/caf\xed\xb3\xa9.o"); }},
      {"unloadObjEmptyName", "07 #0", [](Builder r) { r.setUnloadObj(""); }},
      {"addLibrarySearchPathWithNul", "08 #4 '/a 00 'b",
       [](Builder r) { r.setAddLibrarySearchPath(text(std::string("/a\0b", 4))); }},
      {"removeLibrarySearchPath", "09 0123456789abcdef",
       [](Builder r) { r.setRemoveLibrarySearchPath(0x0123456789abcdef); }},
      {"resolveObjs", "0a", [](Builder r) { r.setResolveObjs(); }},
      {"findSystemLibrary", "0b #1 'm", [](Builder r) { r.setFindSystemLibrary("m"); }},
      {"createBcos", "0c #3 #3 0001ff #0 #3 010203",
       [](Builder r) {
         auto strings = r.initCreateBcos(3);
         strings.set(0, data(std::string("\x00\x01\xff", 3)));
         strings.set(2, data("\x01\x02\x03"));
       }},
      {"createBcosNone", "0c #0", [](Builder r) { r.initCreateBcos(0); }},
      {"freeReferences", "0d #2 #1 #0xfffffffffffffffe",
       [](Builder r) {
         auto references = r.initFreeReferences(2);
         references.set(0, 1);
         references.set(1, 0xfffffffffffffffe);
       }},
      {"freeReferencesNone", "0d #0", [](Builder r) { r.initFreeReferences(0); }},
      {"mallocData", "0e #3 0080ff", [](Builder r) { r.setMallocData(data(std::string("\x00\x80\xff", 3))); }},
      {"mallocDataEmpty", "0e #0", [](Builder r) { r.initMallocData(0); }},
      {"mallocStrings", "0f #3 #3 'abc #0 #1 c3",
       [](Builder r) {
         auto strings = r.initMallocStrings(3);
         strings.set(0, data("abc"));
         strings.set(2, data("\xc3"));
       }},
      {"mallocStringsNone", "0f #0", [](Builder r) { r.initMallocStrings(0); }},
      {"prepFfiAllTypes", "10 00 #12 000102030405060708090a0b 00",
       [](Builder r) {
         auto call = r.initPrepFfi();
         auto arguments = call.initArguments(12);
         arguments.set(0, schema::ForeignType::VOID);
         arguments.set(1, schema::ForeignType::POINTER);
         arguments.set(2, schema::ForeignType::FLOAT);
         arguments.set(3, schema::ForeignType::DOUBLE);
         arguments.set(4, schema::ForeignType::SINT8);
         arguments.set(5, schema::ForeignType::SINT16);
         arguments.set(6, schema::ForeignType::SINT32);
         arguments.set(7, schema::ForeignType::SINT64);
         arguments.set(8, schema::ForeignType::UINT8);
         arguments.set(9, schema::ForeignType::UINT16);
         arguments.set(10, schema::ForeignType::UINT32);
         arguments.set(11, schema::ForeignType::UINT64);
         call.setResult(schema::ForeignType::VOID);
       }},
      {"prepFfiStdCall", "10 01 #0 0b",
       [](Builder r) {
         auto call = r.initPrepFfi();
         call.setStdCall(true);
         call.initArguments(0);
         call.setResult(schema::ForeignType::UINT64);
       }},
      {"freeFfi", "11 #4096", [](Builder r) { r.setFreeFfi(4096); }},
      {"mkConInfoTable", "12 01 #2 #1 #3 #4 #8 'main:M.T",
       [](Builder r) {
         auto info = r.initMkConInfoTable();
         info.setTablesNextToCode(true);
         info.setPointerWords(2);
         info.setNonPointerWords(1);
         info.setConstructorTag(3);
         info.setPointerTag(4);
         info.setDescription(data("main:M.T"));
       }},
      {"mkConInfoTableNegative", "12 00 #-1 #0 #0 #7 #0",
       [](Builder r) {
         auto info = r.initMkConInfoTable();
         info.setPointerWords(-1);
         info.setPointerTag(7);
         info.initDescription(0);
       }},
      {"evalStmt", "13 01000100 00 #9",
       [](Builder r) {
         auto statement = r.initEvalStmt();
         setOptions(statement.initOptions(), true, false, true, false);
         statement.initExpression().setThis(9);
       }},
      {"evalStmtApplication", "13 00010001 01 00 #1 01 00 #2 00 #3",
       [](Builder r) {
         auto statement = r.initEvalStmt();
         setOptions(statement.initOptions(), false, true, false, true);
         auto outer = statement.initExpression().initApply();
         outer.initFunction().setThis(1);
         auto inner = outer.initArgument().initApply();
         inner.initFunction().setThis(2);
         inner.initArgument().setThis(3);
       }},
      {"resumeStmt", "14 01010101 #5",
       [](Builder r) {
         auto resume = r.initResumeStmt();
         setOptions(resume.initOptions(), true, true, true, true);
         resume.setContext(5);
       }},
      {"abandonStmt", "15 #6", [](Builder r) { r.setAbandonStmt(6); }},
      {"evalString", "16 #7", [](Builder r) { r.setEvalString(7); }},
      {"evalStringToString", "17 #8 #3 'x 20 f09f9880",
       [](Builder r) {
         auto call = r.initEvalStringToString();
         call.setFunction(8);
         call.setArgument("x \U0001f600");
       }},
      {"evalIo", "18 #10", [](Builder r) { r.setEvalIo(10); }},
      {"mkCostCentres", "19 #1 'M #2 #1 'f #8 'M.hs:1:1 #3 'g. cebb #0",
       [](Builder r) {
         auto message = r.initMkCostCentres();
         message.setModule("M");
         auto centres = message.initCentres(2);
         centres[0].setName("f");
         centres[0].setSourceSpan("M.hs:1:1");
         centres[1].setName("g.\u03bb");
         centres[1].setSourceSpan("");
       }},
      {"mkCostCentresNone", "19 #0 #0",
       [](Builder r) {
         r.initMkCostCentres().setModule("");
         r.getMkCostCentres().initCentres(0);
       }},
      {"costCentreStackInfo", "1a #11", [](Builder r) { r.setCostCentreStackInfo(11); }},
      {"newBreakArray", "1b #12", [](Builder r) { r.setNewBreakArray(12); }},
      {"enableBreakpoint", "1c #13 #2 01",
       [](Builder r) {
         auto breakpoint = r.initEnableBreakpoint();
         breakpoint.setArray(13);
         breakpoint.setIndex(2);
         breakpoint.setEnable(true);
       }},
      {"disableBreakpoint", "1c #13 #-1 00",
       [](Builder r) {
         auto breakpoint = r.initEnableBreakpoint();
         breakpoint.setArray(13);
         breakpoint.setIndex(-1);
       }},
      {"setupBreakpoint", "1c #13 #2 #5",
       [](Builder r) {
         auto setup = r.initSetupBreakpoint();
         setup.setArray(13);
         setup.setIndex(2);
         setup.setIgnoreCount(5);
       }},
      {"setupBreakpointOff", "1c #13 #-1 #-1",
       [](Builder r) {
         auto setup = r.initSetupBreakpoint();
         setup.setArray(13);
         setup.setIndex(-1);
         setup.setIgnoreCount(-1);
       }},
      {"breakpointStatus", "1d #14 #3",
       [](Builder r) {
         auto breakpoint = r.initBreakpointStatus();
         breakpoint.setArray(14);
         breakpoint.setIndex(3);
       }},
      {"getBreakpointVar", "1e #15 #4",
       [](Builder r) {
         auto variable = r.initGetBreakpointVar();
         variable.setStack(15);
         variable.setDepth(4);
       }},
      {"startTh", "1f", [](Builder r) { r.setStartTh(); }},
      {"runModFinalizers", "20 #16 #2 #17 #18",
       [](Builder r) {
         auto message = r.initRunModFinalizers();
         message.setState(16);
         auto finalizers = message.initFinalizers(2);
         finalizers.set(0, 17);
         finalizers.set(1, 18);
       }},
      {"runModFinalizersNone", "20 #16 #0",
       [](Builder r) {
         auto message = r.initRunModFinalizers();
         message.setState(16);
         message.initFinalizers(0);
       }},
      {"addSptEntry", "21 fedcba9876543210 #1 #19",
       [](Builder r) {
         auto entry = r.initAddSptEntry();
         entry.setFingerprintHigh(0xfedcba9876543210);
         entry.setFingerprintLow(1);
         entry.setReference(19);
       }},
      {"runThExpression", "22 #20 #21 00 01 #4 'M.hs #4 'main #1 'M #3 #4 #5 #6",
       [](Builder r) {
         setSplice(r, 21, schema::SpliceKind::EXPRESSION);
         auto location = r.getRunTh().initLocation();
         location.setFile("M.hs");
         location.setPackage("main");
         location.setModule("M");
         location.setStartLine(3);
         location.setStartColumn(4);
         location.setEndLine(5);
         location.setEndColumn(6);
       }},
      {"runThPattern", "22 #20 #22 01 00", [](Builder r) { setSplice(r, 22, schema::SpliceKind::PATTERN); }},
      {"runThType", "22 #20 #22 02 00", [](Builder r) { setSplice(r, 22, schema::SpliceKind::TYPE); }},
      {"runThDeclarations", "22 #20 #22 03 00", [](Builder r) { setSplice(r, 22, schema::SpliceKind::DECLARATIONS); }},
      {"runThAnnotation", "22 #20 #22 04 00", [](Builder r) { setSplice(r, 22, schema::SpliceKind::ANNOTATION); }},
      {"getClosure", "23 #23", [](Builder r) { r.setGetClosure(23); }},
      {"seq", "24 #24", [](Builder r) { r.setSeq(24); }},
      {"rtsRevertCafs", "25", [](Builder r) { r.setRtsRevertCafs(); }},
      {"resumeSeq", "26 #25", [](Builder r) { r.setResumeSeq(25); }},
      {"newBreakModule", "27 #3 'M. cebb", [](Builder r) { r.setNewBreakModule("M.\u03bb"); }},
      {"lookupSymbolInDll", "28 #26 #9 'x_closure",
       [](Builder r) {
         auto lookup = r.initLookupSymbolInDll();
         lookup.setHandle(26);
         lookup.setSymbol("x_closure");
       }},
  };
}

}  // namespace

std::vector<RequestCase> requestCases(const ghc::Version& version) {
  std::vector<RequestCase> cases = makeCases();
  std::erase_if(cases, [&](const RequestCase& each) {
    capnp::MallocMessageBuilder message;
    auto request = message.initRoot<schema::Request>();
    each.build(request);
    return ghc::requestTag(version, request.which()) < 0;
  });
  return cases;
}

}  // namespace splicehost::testing
