#include "iserv/interpreter/interpreter.h"

int main(int argc, char* argv[]) { return splicehost::runInterpreter(argc, argv); }
