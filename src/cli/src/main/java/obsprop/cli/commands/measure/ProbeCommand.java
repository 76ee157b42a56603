package obsprop.cli.commands.measure;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.analysis.probes.PooledActivations;
import obsprop.analysis.probes.ProbeComparison;
import obsprop.analysis.probes.ProbeOptions;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.NamedVector;
import obsprop.cli.options.TextOptions;
import obsprop.cli.options.VectorOptions;
import obsprop.cli.options.Choice;
import obsprop.cli.options.Count;
import obsprop.cli.output.Progress;
import obsprop.cli.output.Report;
import obsprop.cli.session.Session;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Vectors as classifiers of labelled texts. */
@Command(name = "probe", mixinStandardHelpOptions = true, sortOptions = false,
        description = "How well a vector tells two classes of labelled texts apart, beside logistic regression and the difference"
                + " of means, which are trained on a few of them: area under the ROC curve, with bootstrap intervals.")
public final class ProbeCommand implements Callable<Report> {
    private static final int BATCH_TOKENS = 2048;
    private static final double LEVEL = 0.95;

    @Mixin
    private CommonOptions common;

    @Mixin
    private VectorOptions vectors;

    @Mixin
    private TextOptions texts;

    @Option(names = "--label-field", paramLabel = "NAME", defaultValue = "label",
            description = "the field of a JSON line that holds the label (default: ${DEFAULT-VALUE})")
    private String labelField;

    @Option(names = "--positive", paramLabel = "LABEL",
            description = "the class that should score high (default: the first label of two); all other labels are the other class")
    private Optional<String> positive;

    @Option(names = "--pool", paramLabel = "HOW", defaultValue = "mean", converter = PoolingConverter.class,
            description = "how a text's tokens become one vector: mean or last (default: ${DEFAULT-VALUE})")
    private PooledActivations.Pooling pooling;

    @Option(names = "--train", paramLabel = "N", defaultValue = "25",
            description = "training examples of each class; the others are for testing (default: ${DEFAULT-VALUE})")
    private int perClass;

    @Option(names = "--lambda", paramLabel = "X", defaultValue = "1",
            description = "of the logistic regression's L2 term; scikit-learn's C is its inverse (default: ${DEFAULT-VALUE})")
    private double lambda;

    @Option(names = "--replicates", paramLabel = "N", defaultValue = "1000",
            description = "of the bootstrap, for 95 %% intervals (default: ${DEFAULT-VALUE})")
    private int replicates;

    @Option(names = "--seed", paramLabel = "N", defaultValue = "0",
            description = "of the split and the bootstrap (default: ${DEFAULT-VALUE})")
    private long seed;

    /** Reads {@link PooledActivations.Pooling}. */
    static final class PoolingConverter extends Choice<PooledActivations.Pooling> {
        PoolingConverter() {
            super(PooledActivations.Pooling.values());
        }
    }

    @Override
    public Report call() {
        Count.atLeastOne("--train", perClass);
        Count.atLeastOne("--replicates", replicates);
        if (!(lambda > 0 && lambda < Double.POSITIVE_INFINITY)) {
            throw new UsageException("--lambda: " + lambda + " is not above 0 and finite: give a number such as 1");
        }
        ProbeOptions options = new ProbeOptions(perClass, lambda, replicates, LEVEL, seed);
        texts.files();
        try (Session session = common.open()) {
            List<NamedVector> named = vectors.all(session, common);
            LabelledTexts examples = LabelledTexts.read(texts, labelField, session, common);
            if (examples.cut() > 0) {
                common.note(examples.cut() + " texts are longer than " + texts.window(session)
                        + " tokens and were cut to them (--window takes more)");
            }
            String high = positive(examples.classes());
            boolean[] classes = new boolean[examples.labels().size()];
            for (int i = 0; i < classes.length; i++) {
                classes[i] = examples.labels().get(i).equals(high);
            }
            List<ProbeReport.Probed> probed = new ArrayList<>();
            for (NamedVector vector : named) {
                double[][] x = activations(session, examples.tokens(), vector);
                probed.add(new ProbeReport.Probed(vector, ProbeComparison.of(x, classes, vector.direction(), options)));
            }
            return new ProbeReport(session.name(), high, examples.classes().stream().filter(c -> !c.equals(high)).toList(),
                    Choice.label(pooling), probed);
        }
    }

    private String positive(List<String> classes) {
        if (classes.size() < 2) {
            throw new UsageException("all texts have the label \"" + classes.getFirst() + "\": a probe needs two classes");
        }
        if (positive.isPresent() && !classes.contains(positive.get())) {
            throw new UsageException("--positive: no text has the label \"" + positive.get() + "\": there are "
                    + String.join(", ", classes));
        }
        if (positive.isEmpty() && classes.size() > 2) {
            throw new UsageException("the texts have " + classes.size() + " labels (" + String.join(", ", classes)
                    + "): say with --positive which one should score high");
        }
        return positive.orElse(classes.getFirst());
    }

    private double[][] activations(Session session, List<int[]> tokens, NamedVector vector) {
        double[][] all = new double[tokens.size()][];
        try (Progress progress = common.progress("activations", tokens.size())) {
            for (int from = 0; from < tokens.size(); ) {
                int to = from;
                for (int rows = 0; to < tokens.size() && (to == from || rows + tokens.get(to).length <= BATCH_TOKENS); to++) {
                    rows += tokens.get(to).length;
                }
                double[][] some = PooledActivations.of(session.model(), tokens.subList(from, to), vector.site().layer(),
                        vector.site().point(), pooling);
                session.requireFinite("an activation", some);
                System.arraycopy(some, 0, all, from, some.length);
                progress.step(to - from);
                from = to;
            }
        }
        return all;
    }
}
