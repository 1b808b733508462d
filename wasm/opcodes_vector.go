package wasm

// vectorRows are the instructions on 128-bit vectors, behind the prefix 0xfd.
// Numbers that are missing are reserved.
var vectorRows = [...]row{
	{0, 0, immMemory, "i:v", 4, 0}, // loads and the store
	{1, 6, immMemory, "i:v", 3, 0},
	{7, 7, immMemory, "i:v", 0, 0},
	{8, 8, immMemory, "i:v", 1, 0},
	{9, 9, immMemory, "i:v", 2, 0},
	{10, 10, immMemory, "i:v", 3, 0},
	{11, 11, immMemory, "iv:", 4, 0},

	{from: 12, to: 12, imm: immBytes16, types: ":v"},
	{from: 13, to: 13, imm: immBytes16, types: "vv:v"},
	{from: 14, to: 14, imm: immNone, types: "vv:v"},
	{from: 15, to: 17, imm: immNone, types: "i:v"}, // splats
	{from: 18, to: 18, imm: immNone, types: "I:v"},
	{from: 19, to: 19, imm: immNone, types: "f:v"},
	{from: 20, to: 20, imm: immNone, types: "F:v"},

	{21, 22, immLane, "v:i", 0, 16}, // lanes
	{23, 23, immLane, "vi:v", 0, 16},
	{24, 25, immLane, "v:i", 0, 8},
	{26, 26, immLane, "vi:v", 0, 8},
	{27, 27, immLane, "v:i", 0, 4},
	{28, 28, immLane, "vi:v", 0, 4},
	{29, 29, immLane, "v:I", 0, 2},
	{30, 30, immLane, "vI:v", 0, 2},
	{31, 31, immLane, "v:f", 0, 4},
	{32, 32, immLane, "vf:v", 0, 4},
	{33, 33, immLane, "v:F", 0, 2},
	{34, 34, immLane, "vF:v", 0, 2},

	{from: 35, to: 76, imm: immNone, types: "vv:v"}, // comparisons
	{from: 77, to: 77, imm: immNone, types: "v:v"},  // not
	{from: 78, to: 81, imm: immNone, types: "vv:v"}, // and, andnot, or, xor
	{from: 82, to: 82, imm: immNone, types: "vvv:v"},
	{from: 83, to: 83, imm: immNone, types: "v:i"},

	{84, 84, immMemoryLane, "iv:v", 0, 16},
	{85, 85, immMemoryLane, "iv:v", 1, 8},
	{86, 86, immMemoryLane, "iv:v", 2, 4},
	{87, 87, immMemoryLane, "iv:v", 3, 2},
	{88, 88, immMemoryLane, "iv:", 0, 16},
	{89, 89, immMemoryLane, "iv:", 1, 8},
	{90, 90, immMemoryLane, "iv:", 2, 4},
	{91, 91, immMemoryLane, "iv:", 3, 2},
	{92, 92, immMemory, "i:v", 2, 0},
	{93, 93, immMemory, "i:v", 3, 0},
	{from: 94, to: 95, imm: immNone, types: "v:v"}, // demote, promote

	{from: 96, to: 98, imm: immNone, types: "v:v"}, // i8x16
	{from: 99, to: 100, imm: immNone, types: "v:i"},
	{from: 101, to: 102, imm: immNone, types: "vv:v"},
	{from: 103, to: 106, imm: immNone, types: "v:v"}, // f32x4 rounding
	{from: 107, to: 109, imm: immNone, types: "vi:v"},
	{from: 110, to: 115, imm: immNone, types: "vv:v"},
	{from: 116, to: 117, imm: immNone, types: "v:v"}, // f64x2 rounding
	{from: 118, to: 121, imm: immNone, types: "vv:v"},
	{from: 122, to: 122, imm: immNone, types: "v:v"},
	{from: 123, to: 123, imm: immNone, types: "vv:v"},

	{from: 124, to: 129, imm: immNone, types: "v:v"}, // pairwise sums; i16x8
	{from: 130, to: 130, imm: immNone, types: "vv:v"},
	{from: 131, to: 132, imm: immNone, types: "v:i"},
	{from: 133, to: 134, imm: immNone, types: "vv:v"},
	{from: 135, to: 138, imm: immNone, types: "v:v"},
	{from: 139, to: 141, imm: immNone, types: "vi:v"},
	{from: 142, to: 147, imm: immNone, types: "vv:v"},
	{from: 148, to: 148, imm: immNone, types: "v:v"},
	{from: 149, to: 153, imm: immNone, types: "vv:v"},
	{from: 155, to: 159, imm: immNone, types: "vv:v"},

	{from: 160, to: 161, imm: immNone, types: "v:v"}, // i32x4
	{from: 163, to: 164, imm: immNone, types: "v:i"},
	{from: 167, to: 170, imm: immNone, types: "v:v"},
	{from: 171, to: 173, imm: immNone, types: "vi:v"},
	{from: 174, to: 174, imm: immNone, types: "vv:v"},
	{from: 177, to: 177, imm: immNone, types: "vv:v"},
	{from: 181, to: 186, imm: immNone, types: "vv:v"},
	{from: 188, to: 191, imm: immNone, types: "vv:v"},

	{from: 192, to: 193, imm: immNone, types: "v:v"}, // i64x2
	{from: 195, to: 196, imm: immNone, types: "v:i"},
	{from: 199, to: 202, imm: immNone, types: "v:v"},
	{from: 203, to: 205, imm: immNone, types: "vi:v"},
	{from: 206, to: 206, imm: immNone, types: "vv:v"},
	{from: 209, to: 209, imm: immNone, types: "vv:v"},
	{from: 213, to: 223, imm: immNone, types: "vv:v"},

	{from: 224, to: 225, imm: immNone, types: "v:v"}, // f32x4
	{from: 227, to: 227, imm: immNone, types: "v:v"},
	{from: 228, to: 235, imm: immNone, types: "vv:v"},
	{from: 236, to: 237, imm: immNone, types: "v:v"}, // f64x2
	{from: 239, to: 239, imm: immNone, types: "v:v"},
	{from: 240, to: 247, imm: immNone, types: "vv:v"},
	{from: 248, to: 255, imm: immNone, types: "v:v"}, // conversions
}
