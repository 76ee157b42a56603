package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import obsprop.analysis.heads.HeadTable;
import obsprop.analysis.patching.MeanHeadEffects;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table;
import obsprop.cli.output.Table.Column;

/** What {@link DemoCommand} found. */
record DemoReport(String example, List<Head> heads, MeanHeadEffects effects) implements Report {
    private static final int SHOWN = 6;

    /**
     * A head with both answers.
     *
     * @param norm of its feature vector
     * @param rank of that norm among all heads, from 1
     */
    record Head(int layer, int head, double norm, int rank, double effect, double standardError) {
        String name() {
            return "L" + layer + "H" + head;
        }
    }

    /** The heads that patching names, the strongest first. */
    static DemoReport of(String example, HeadTable norms, MeanHeadEffects effects) {
        List<Head> unranked = IntStream.range(0, norms.nLayers()).boxed()
                .flatMap(l -> IntStream.range(0, norms.nHeads()).mapToObj(h -> new Head(l, h, norms.norm(l, h, 0), 0,
                        effects.effect()[l][h], effects.standardError()[l][h])))
                .sorted(Comparator.comparingDouble(head -> -head.norm))
                .toList();
        List<Head> heads = IntStream.range(0, unranked.size())
                .mapToObj(i -> {
                    Head h = unranked.get(i);
                    return new Head(h.layer, h.head, h.norm, i + 1, h.effect, h.standardError);
                })
                .sorted(Comparator.comparingDouble(head -> -Math.abs(head.effect)))
                .toList();
        return new DemoReport(example, heads, effects);
    }

    @Override
    public JsonNode json() {
        ObjectNode root = Json.object();
        root.put("model", "demo");
        root.put("pairs", effects.pairs());
        root.put("clean", effects.clean());
        root.put("corrupted", effects.corrupted());
        ArrayNode list = root.putArray("heads");
        for (Head head : heads) {
            list.addObject().put("layer", head.layer).put("head", head.head).put("norm", head.norm)
                    .put("norm_rank", head.rank).put("effect", head.effect).put("standard_error", head.standardError);
        }
        return root;
    }

    @Override
    public String text() {
        List<Head> shown = heads.subList(0, SHOWN);
        Table table = new Table(Column.text("head"), Column.number("patching effect"), Column.number("+-"),
                Column.number("feature norm"), Column.number("rank by norm"));
        for (Head head : shown) {
            table.row(head.name(), Numbers.fixed(head.effect), Numbers.fixed(head.standardError),
                    Numbers.fixed(head.norm), head.rank + " of " + heads.size());
        }
        long agreeing = shown.stream().filter(head -> head.rank <= 2 * SHOWN).count();
        return String.format(Locale.ROOT, """
                After "%s" the built-in model says " she" or " he" by the name: the difference of the two
                logits is %+.2f with a woman's name and %+.2f with a man's (means of %d pairs of prompts).

                Which attention heads carry that? Exact patching puts each head, alone, into the state that it has
                on the other prompt and asks how much of the difference goes. Beside it stands the norm of the head's
                feature vector: how much the head can contribute by its weights alone, found without running any text.

                %s
                %s carry it most. %d of these %d heads are among the %d with the largest norms, of %d in all.
                """, example.replace("<|endoftext|>", "").replace("%s", "[NAME]"), effects.clean(), effects.corrupted(),
                effects.pairs(), table,
                shown.stream().limit(3).map(Head::name).collect(Collectors.joining(", ")),
                agreeing, SHOWN, 2 * SHOWN, heads.size());
    }
}
