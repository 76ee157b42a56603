package obsprop.cli.options;

import java.nio.file.Path;
import java.util.Optional;
import obsprop.backend.Backend;
import obsprop.backend.Device;
import obsprop.cli.UsageException;
import obsprop.cli.output.Progress;
import obsprop.cli.session.Session;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.Residency;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What every command takes. */
public final class CommonOptions {
    /** Set by the launcher, the only process that sees the user's stderr. */
    private static final String TERMINAL = "obsprop.terminal";
    /** More cores than a machine is likely to have; a thread each takes its own memory. */
    private static final int MOST_THREADS = 1024;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(names = "--model", paramLabel = "DIR",
            description = "a Hugging Face model directory (default: the built-in demo model)")
    private Optional<Path> model = Optional.empty();

    @Option(names = "--device", paramLabel = "WHERE", defaultValue = "auto", converter = DeviceWord.class,
            description = "auto, cpu, cuda, or cpu-scalar, the slow reference (default: ${DEFAULT-VALUE})")
    private Device device;

    @Option(names = "--threads", paramLabel = "N", description = "CPU threads (default: one a core)")
    private Optional<Integer> threads;

    @Option(names = "--precision", paramLabel = "HOW", defaultValue = "fp32", converter = PrecisionWord.class,
            description = "matrix products on a CUDA device: fp32, tf32 or bf16 (default: ${DEFAULT-VALUE})")
    private CudaPrecision precision;

    @Option(names = "--stream-layers", description = "leave the layers' weights in the host's memory and bring them to the CUDA"
            + " device one by one as they are needed: for models larger than the device, slower")
    private boolean streamLayers;

    @Option(names = "--json", description = "print one JSON document")
    private boolean json;

    @Option(names = "--quiet", description = "no progress, notes or warnings")
    private boolean quiet;

    private static final class DeviceWord extends Choice<Device> {
        DeviceWord() {
            super(Device.values());
        }
    }

    private static final class PrecisionWord extends Choice<CudaPrecision> {
        PrecisionWord() {
            super(CudaPrecision.values());
        }
    }

    /** Opens the model, its vocabulary and the backend; the caller closes them. */
    public Session open() {
        return Session.open(model, new Backend.Choice(device, threads(), precision,
                streamLayers ? Residency.STREAMED : Residency.RESIDENT));
    }

    /**
     * Checks a file that is going to be written, before anything is computed.
     *
     * @throws UsageException where it cannot be, or the model is read from it
     */
    public void requireOutput(Path file, String option) {
        OutputFile.checked(file, option, model);
    }

    /** Where to compute. */
    public Device device() {
        return device;
    }

    /** How many CPU threads to use. */
    public int threads() {
        int count = Count.atLeastOne("--threads", threads.orElseGet(() -> Runtime.getRuntime().availableProcessors()));
        if (threads.isPresent() && count > MOST_THREADS) {
            throw new UsageException("--threads: " + count + " is too many: give " + MOST_THREADS + " or fewer, best one a core");
        }
        return count;
    }

    /** Whether the report is printed as JSON. */
    public boolean json() {
        return json;
    }

    /** Tells the user something on stderr, unless asked to be quiet. */
    public void note(String message) {
        if (!quiet) {
            spec.commandLine().getErr().println("obsprop: " + message);
            spec.commandLine().getErr().flush();
        }
    }

    /** A progress bar where somebody is watching. */
    public Progress progress(String task, long steps) {
        return quiet || !Boolean.getBoolean(TERMINAL) ? Progress.none() : Progress.onTerminal(task, steps);
    }
}
