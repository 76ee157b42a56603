package obsprop.cuda;

/** Probes, once, for a usable CUDA device. */
public final class CudaLoader {
    private CudaLoader() {}
}
