package obsprop.bench;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.cuda.CudaException;
import obsprop.cuda.CudaLoader;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.CudaProbe;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.kernel.cuda.CudaKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.layer.Rules;
import obsprop.propagation.Observable;
import obsprop.propagation.PreparedGradient;
import obsprop.propagation.Propagator;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * How long does a prompt take on a card, forward, and forward with the exact gradients of K observables? A model of a
 * known shape with random weights; its gradient is first compared with the CPU kernels'. Wall-clock times of whole
 * passes, the host's part included, until the device has finished; medians. Beside each stands the share of the
 * roofline, whose two limits the same process measures. Not a JMH benchmark: minutes on a card are few.
 *
 * <p>Options, each {@code name=value}: {@code model}, {@code precision}, {@code tokens}, {@code observables} (0: forward
 * only), {@code seconds} for each figure, {@code rows} (tokens times observables at most), {@code profile} (tokens x
 * observables whose operations are timed one by one).
 */
public final class CudaPass {
    private static final int PROVED_TOKENS = 16;
    private static final int MAX_REPEATS = 200;
    private static final int MIN_REPEATS = 3;

    private final Map<String, String> options = new HashMap<>(Map.of("model", "gpt-neo-1.3b", "precision", "fp32,tf32,bf16",
            "tokens", "16,128,1024", "observables", "0,1,64", "seconds", "0.5", "rows", "65536", "profile", ""));
    private final CudaKernels kernels;
    private final CudaPrecision precision;
    private final Transformer model;
    private final CudaLimits limits;

    private CudaPass(CudaKernels kernels, CudaPrecision precision, Transformer model, CudaLimits limits, String[] options) {
        this.kernels = kernels;
        this.precision = precision;
        this.model = model;
        this.limits = limits;
        read(options);
    }

    private void read(String[] pairs) {
        for (String pair : pairs) {
            String[] parts = pair.split("=", 2);
            if (parts.length < 2 || !options.containsKey(parts[0])) {
                throw new IllegalArgumentException(pair + ": the options are name=value, with a name of " + options.keySet());
            }
            options.put(parts[0], parts[1]);
        }
    }

    private int[] numbers(String option) {
        return Arrays.stream(options.get(option).split(",")).mapToInt(Integer::parseInt).toArray();
    }

    /** Runs all that the options name. */
    public static void main(String[] arguments) {
        CudaPass defaults = new CudaPass(null, null, null, null, arguments);
        if (!(CudaLoader.probe() instanceof CudaProbe.Present device)) {
            System.out.println(CudaLoader.probe());
            System.exit(1);
            return;
        }
        RandomModel.Shape shape = RandomModel.Shape.named(defaults.options.get("model"));
        System.out.println(device.describe() + ", cuBLAS from " + device.cublas());
        System.out.println("model precision tokens observables ms TFLOP/s %roofline");
        for (String name : defaults.options.get("precision").split(",")) {
            CudaPrecision precision = CudaPrecision.valueOf(name.toUpperCase(Locale.ROOT));
            run(device, shape, precision, arguments);
        }
    }

    private static void run(CudaProbe.Present device, RandomModel.Shape shape, CudaPrecision precision, String[] arguments) {
        DType type = precision == CudaPrecision.BF16 ? DType.BF16 : DType.F32;
        try (RandomModel weights = new RandomModel(shape, type);
                CudaKernels kernels = CudaKernels.open(device, precision)) {
            CudaLimits limits = CudaLimits.measure(kernels, shape == RandomModel.Shape.TINY);
            try (Transformer model = weights.on(kernels)) {
                System.out.printf("# %s, weights %s: %s, %.1f GiB free%n", precision, type, limits.describe(),
                        kernels.device().freeMemory() / (double) (1 << 30));
                CudaPass pass = new CudaPass(kernels, precision, model, limits, arguments);
                pass.proveAgreement(weights);
                pass.measureAll();
            }
        }
    }

    private void proveAgreement(RandomModel weights) {
        Batch few = Batch.of(prompt(PROVED_TOKENS));
        float[] tested = gradient(model, few);
        try (CpuKernels cpu = CpuKernels.create(Runtime.getRuntime().availableProcessors());
                Transformer oracle = weights.on(cpu)) {
            float[] right = gradient(oracle, few);
            double squares = 0;
            double errors = 0;
            for (int i = 0; i < right.length; i++) {
                squares += right[i] * (double) right[i];
                errors += Math.pow(tested[i] - right[i], 2);
            }
            double error = Math.sqrt(errors / squares);
            System.out.printf("# gradient against the CPU kernels: relative error %.1e%n", error);
            double allowed = precision == CudaPrecision.FP32 ? 1e-4 : precision == CudaPrecision.TF32 ? 1e-2 : 1e-1;
            if (!(error <= allowed)) {
                throw new IllegalStateException("the gradients disagree");
            }
        }
    }

    private static float[] gradient(Transformer with, Batch few) {
        try (Arena once = Arena.ofShared(); ActivationCache values = with.forward(few)) {
            Tensor all = new Propagator(with).gradients(values, targets(with, few.rows(), 1), Rules.EXACT, once);
            return all.select(0, 0).select(0, 0).toFloats();
        }
    }

    private int[] prompt(int length) {
        return new Random(7).ints(length, 0, model.config().dVocab()).toArray();
    }

    /** Observables on pairs of tokens, all read at the last token of the prompt. */
    private static List<Propagator.Target> targets(Transformer model, int tokens, int observables) {
        int vocabulary = model.config().dVocab();
        return IntStream.range(0, observables)
                .mapToObj(k -> Observable.difference("observable " + k, k % vocabulary, (k + vocabulary / 2) % vocabulary))
                .map(n -> new Propagator.Target(n, tokens - 1))
                .toList();
    }

    private void measureAll() {
        for (int tokens : numbers("tokens")) {
            for (int observables : numbers("observables")) {
                if (tokens <= model.config().maxPositions() && (long) tokens * observables <= numbers("rows")[0]) {
                    try (Pass pass = new Pass(model, tokens, observables)) {
                        measure(pass);
                    } catch (CudaException e) {
                        System.out.println("# " + tokens + " tokens, " + observables + " observables: " + e.getMessage());
                    }
                }
            }
        }
        if (!options.get("profile").isEmpty()) {
            for (String each : options.get("profile").split(",")) {
                profile(Integer.parseInt(each.split("x")[0]), Integer.parseInt(each.split("x")[1]));
            }
        }
    }

    /** A forward pass, and a sweep back if there are observables. */
    private final class Pass implements AutoCloseable {
        private final Transformer on;
        private final int tokens;
        private final int observables;
        private final Batch batch;
        private final ActivationCache cache;

        Pass(Transformer on, int tokens, int observables) {
            this.on = on;
            this.tokens = tokens;
            this.observables = observables;
            batch = Batch.of(prompt(tokens));
            cache = on.allocate(batch.segments(), Keep.EVERYTHING, on.config().nLayers());
        }

        void run() {
            on.forward(batch, cache);
            if (observables > 0) {
                new Propagator(on).sweep(cache, targets(on, tokens, observables), Rules.EXACT, 0, (layer, point, first, rows) -> {});
            }
            kernels.device().stream().synchronize();
        }

        @Override
        public void close() {
            cache.close();
        }
    }

    private void measure(Pass pass) {
        double flops = flops(pass.tokens, pass.observables);
        double least = limits.seconds(flops, bytes(pass.observables));
        print(pass, "", median(pass::run), flops, least);
        if (pass.observables == 1) {
            Observable observable = targets(model, pass.tokens, 1).getFirst().observable();
            try (PreparedGradient prepared = new PreparedGradient(model, observable, pass.tokens, Rules.EXACT)) {
                double seconds = median(() -> {
                    prepared.run(pass.batch.tokenIds());
                    kernels.device().stream().synchronize();
                });
                print(pass, " prepared", seconds, flops, least);
            }
        }
    }

    private void print(Pass pass, String how, double seconds, double flops, double least) {
        System.out.printf("%s %s %d %d %.3f %.1f %.0f%s%n", options.get("model"), precision, pass.tokens, pass.observables,
                seconds * 1e3, flops / seconds * 1e-12, 100 * least / seconds, how);
    }

    private double median(Runnable pass) {
        double allowed = Double.parseDouble(options.get("seconds"));
        long end = System.nanoTime() + (long) (0.4e9 * allowed);
        do {
            pass.run();
        } while (System.nanoTime() < end);
        List<Double> seconds = new ArrayList<>();
        double sum = 0;
        while (seconds.size() < MIN_REPEATS || sum < 0.6 * allowed && seconds.size() < MAX_REPEATS) {
            long start = System.nanoTime();
            pass.run();
            seconds.add((System.nanoTime() - start) * 1e-9);
            sum += seconds.getLast();
        }
        return seconds.stream().sorted().toList().get(seconds.size() / 2);
    }

    /** The operations that cannot be spared: products with the weights, and attention over the pairs that see each other. */
    private double flops(int tokens, int observables) {
        ModelConfig config = model.config();
        double products = 2.0 * tokens * weights();
        double pairs = 0;
        for (int l = 0; l < config.nLayers(); l++) {
            AttentionSpec spec = model.block(l).attention().spec();
            pairs += IntStream.range(0, tokens).mapToDouble(t -> t + 1 - spec.firstKey(t)).sum();
        }
        double forward = products + 4 * pairs * config.nHeads() * config.dHead(); // scores, and values weighted by them
        return forward + observables * (products + 8 * pairs * config.nHeads() * config.dHead());
    }

    /** Every weight is read once forward and, with observables, once back. */
    private double bytes(int observables) {
        return (observables > 0 ? 2 : 1) * weights() * (precision == CudaPrecision.BF16 ? 2 : 4);
    }

    private double weights() {
        ModelConfig config = model.config();
        return (double) config.nLayers() * config.dModel() * (4.0 * config.nHeads() * config.dHead() + 2.0 * config.dMlp());
    }

    private void profile(int tokens, int observables) {
        var times = new OperationTimes(kernels, kernels.device().stream()::synchronize);
        Kernels timed = times.timed();
        int passes = 3;
        try (Pass pass = new Pass(model.on(timed), tokens, observables)) {
            pass.run();
            times.forget();
            for (int i = 0; i < passes; i++) {
                pass.run();
            }
        }
        System.out.println("# operations one by one, " + precision + ", " + tokens + " tokens, " + observables + " observables");
        times.print(passes);
    }
}
