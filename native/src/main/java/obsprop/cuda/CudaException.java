package obsprop.cuda;

/** A call to the CUDA driver or to cuBLAS failed. The message says what was tried, what CUDA answered and what helps. */
public final class CudaException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public CudaException(String message) {
        super(message);
    }
}
