package obsprop.cli.commands;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import obsprop.analysis.heads.HeadAnalysis;
import obsprop.analysis.heads.HeadNormRule;
import obsprop.analysis.heads.HeadTable;
import obsprop.analysis.patching.MeanHeadEffects;
import obsprop.analysis.patching.MeanHeadPatching;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.TokenPair;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.ObservableParser;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.cli.tokens.Vocabulary;
import obsprop.propagation.Observable;
import picocli.CommandLine.Command;
import picocli.CommandLine.IModelTransformer;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;

/** The method's first question on the built-in model, answered in plain words. */
@Command(name = "demo", mixinStandardHelpOptions = true, sortOptions = false, modelTransformer = DemoCommand.WithoutModel.class,
        description = "Asks the built-in model which attention heads make it say \" she\" after a woman's name, and answers in"
                + " plain words: by the weights alone, and checked by exact patching.")
public final class DemoCommand implements Callable<Report> {
    private static final String OBSERVABLE = "\" she\" - \" he\"";
    private static final List<String> TEMPLATES = List.of(
            "<|endoftext|>So, %s really is a great friend, isn't",
            "<|endoftext|>Man, %s is so funny, isn't",
            "<|endoftext|>Really, %s always works so hard, doesn't");
    private static final List<List<String>> NAMES = List.of(
            List.of("Mary", "John"), List.of("Anna", "Peter"), List.of("Susan", "David"), List.of("Linda", "Mark"),
            List.of("Emma", "Paul"), List.of("Julia", "James"), List.of("Laura", "Robert"), List.of("Sarah", "Thomas"));

    @Mixin
    private CommonOptions common;

    /** Takes no model but the built-in one. */
    static final class WithoutModel implements IModelTransformer {
        @Override
        public CommandSpec transform(CommandSpec command) {
            command.remove(command.findOption("--model"));
            return command;
        }
    }

    @Override
    public Report call() {
        try (Session session = common.open()) {
            Vocabulary vocabulary = session.vocabulary();
            ResolvedObservable resolved = ResolvedObservable.of(ObservableParser.parse(OBSERVABLE), vocabulary);
            Observable n = resolved.forEngine();
            HeadTable norms = new HeadAnalysis(session.model(), HeadNormRule.NONE).table(List.of(n));
            MeanHeadEffects effects =
                    MeanHeadPatching.over(session.model(), pairs(vocabulary), Readout.last(n), PatchMode.FULL);
            return DemoReport.of(TEMPLATES.getFirst(), norms, effects);
        }
    }

    private static List<TokenPair> pairs(Vocabulary vocabulary) {
        List<TokenPair> pairs = new ArrayList<>();
        for (String template : TEMPLATES) {
            for (List<String> names : NAMES) {
                pairs.add(new TokenPair(
                        ids(vocabulary, template.formatted(names.get(0))),
                        ids(vocabulary, template.formatted(names.get(1)))));
            }
        }
        return pairs;
    }

    private static int[] ids(Vocabulary vocabulary, String text) {
        return vocabulary.encode(text).stream().mapToInt(Vocabulary.Piece::id).toArray();
    }
}
