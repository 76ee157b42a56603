/**
 * The Vector API backend: every operation of {@link obsprop.kernel.Kernels} in fp32 on off-heap memory, over a fixed team
 * of threads.
 *
 * <p>Call chain: {@code CpuKernels -> (Gemm | Attention | Norms | Elementwise | Copies) -> Workers -> Blocks -> Tiles}.
 * All memory is off-heap, and C2 must know ({@link obsprop.kernel.cpu.Lanes#plain}): one segment over an array anywhere in
 * the program would slow most loops to a half or a quarter.
 *
 * <p>A {@code Vector} never crosses a method that C2 may refuse to inline: it would be boxed, at fifteen times the cost.
 */
package obsprop.kernel.cpu;
