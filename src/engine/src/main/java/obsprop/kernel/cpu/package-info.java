/**
 * The Vector API backend: every operation of {@link obsprop.kernel.Kernels} in fp32 on off-heap memory, over a fixed team
 * of threads.
 *
 * <p>Call chain: {@code CpuKernels -> (Gemm | Attention | Norms | Elementwise | Copies) -> Workers -> Blocks -> Tiles}.
 * A {@code Vector} never crosses a method that C2 may refuse to inline: it would be boxed, at fifteen times the cost.
 */
package obsprop.kernel.cpu;
