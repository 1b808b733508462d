package wasm

// Bounds that hold for every module, whoever asks. They lie above what
// compilers produce and below what engines and browsers refuse, and they keep
// what reading a module costs in proportion to its size.
const (
	maxTypes    = 100_000
	maxImports  = 10_000
	maxFuncs    = 1_000_000
	maxTables   = 100
	maxGlobals  = 100_000
	maxExports  = 100_000
	maxSegments = 100_000 // of data, and of elements
	maxElements = 10_000_000
	maxCustom   = 1_000
	maxParams   = 1_000
	maxResults  = 32      // of a function, and what a block takes or leaves
	maxLabels   = 65_520  // of one br_table, without the default
	maxNesting  = 10_000  // blocks inside each other
	maxHeight   = 100_000 // values on the stack of one function
	maxPages    = 65_536  // 4 GiB, all that 32 bits reach

	// maxBody is the most that one function may take before it is rewritten,
	// and maxRewrittenBody after: engines refuse more.
	maxBody          = 2 << 20
	maxRewrittenBody = 7_654_321

	// maxLocals leaves the rewriter a few below the 50,000 that engines take.
	maxLocals = 50_000 - 16
)
