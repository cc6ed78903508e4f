"""Pronunciations of a small English vocabulary, in ARPABET without stress.

They are those of CMUdict (copyright 1993-2015 Carnegie Mellon University, all rights reserved; redistribution and use,
with or without modification, are permitted where this notice is kept), except for a few words in their weak form.
"""

from __future__ import annotations

_LETTERS = """
a EY; b B IY; c S IY; d D IY; e IY; f EH F; g JH IY; h EY CH; i AY; j JH EY; k K EY; l EH L; m EH M; n EH N; o OW;
p P IY; q K Y UW; r AA R; s EH S; t T IY; u Y UW; v V IY; w D AH B AH L Y UW; x EH K S; y W AY; z Z IY
"""

_WORDS = """
a AH; about AH B AW T; after AE F T ER; again AH G EH N; all AO L; also AO L S OW; an AE N; and AH N D;
april EY P R AH L; are AA R; as AE Z; at AE T; august AA G AH S T; avenue AE V AH N UW; away AH W EY; back B AE K;
background B AE K G R AW N D; be B IY; because B IH K AO Z; before B IH F AO R; begin B IH G IH N;
begins B IH G IH N Z; behind B IH HH AY N D; between B IH T W IY N; big B IH G; billion B IH L Y AH N;
billionth B IH L Y AH N TH; bin B IH N; bird B ER D; black B L AE K; blue B L UW; book B UH K; both B OW TH;
boulevard B UH L AH V AA R D; bounce B AW N S; bounces B AW N S IH Z; brick B R IH K; bright B R AY T; brown B R AW N;
but B AH T; by B AY; came K EY M; camera K AE M ER AH; can K AE N; car K AA R; cat K AE T; celsius S EH L S IY AH S;
centimeter S EH N T AH M IY T ER; centimeters S EH N T AH M IY T ER Z; cetera S EH T ER AH; chair CH EH R;
checked CH EH K T; child CH AY L D; circle S ER K AH L; city S IH T IY; clear K L IH R; close K L OW S;
closes K L OW Z IH Z; cloudy K L AW D IY; cold K OW L D; com K AA M; come K AH M; comes K AH M Z;
company K AH M P AH N IY; could K UH D; cubed K Y UW B D; cyan S AY AE N; dark D AA R K; day D EY;
december D IH S EH M B ER; decibel D EH S AH B EH L; decibels D EH S AH B AH L Z; degree D IH G R IY;
degrees D IH G R IY Z; diamond D AY M AH N D; did D IH D; do D UW; doctor D AA K T ER; does D AH Z; dog D AO G;
dollar D AA L ER; dollars D AA L ER Z; door D AO R; dot D AA T; dotted D AA T AH D; down D AW N; drift D R IH F T;
drifts D R IH F T S; each IY CH; eight EY T; eighteen EY T IY N; eighteenth EY T IY N TH; eighth EY T TH;
eighths EY T TH S; eighties EY T IY Z; eightieth EY T IY IH TH; eighty EY T IY; eleven IH L EH V AH N;
eleventh IH L EH V AH N TH; end EH N D; ends EH N D Z; equals IY K W AH L Z; et EH T; euro Y UW R OW;
euros Y UW R OW Z; evening IY V N IH NG; every EH V ER IY; example IH G Z AE M P AH L; eye AY; face F EY S;
fahrenheit F EH R AH N HH AY T; falls F AO L Z; far F AA R; fast F AE S T; february F EH B Y AH W EH R IY; feet F IY T;
fifteen F IH F T IY N; fifteenth F IH F T IY N TH; fifth F IH F TH; fifths F IH F TH S; fifties F IH F T IY Z;
fiftieth F IH F T IY IH TH; fifty F IH F T IY; figure F IH G Y ER; film F IH L M; first F ER S T; five F AY V;
foot F UH T; for F AO R; forties F AO R T IY Z; fortieth F AO R T IY IH TH; forty F AO R T IY; four F AO R;
fourteen F AO R T IY N; fourteenth F AO R T IY N TH; fourth F AO R TH; fourths F AO R TH S; frame F R EY M;
frames F R EY M Z; friday F R AY D IY; from F R AH M; gave G EY V; gigabyte G IH G AH B AY T;
gigabytes G IH G AH B AY T S; give G IH V; gives G IH V Z; go G OW; goes G OW Z; good G UH D; goodbye G UH D B AY;
gram G R AE M; grams G R AE M Z; gray G R EY; green G R IY N; grey G R EY; had HH AE D; half HH AE F; halves HH AE V Z;
hand HH AE N D; has HH AE Z; have HH AE V; he HH IY; head HH EH D; hear HH IY R; heard HH ER D; hears HH IY R Z;
hello HH AH L OW; her HH ER; here HH IY R; hertz HH EH R T S; hexagon HH EH K S AH G AA N; high HH AY; him HH IH M;
his HH IH Z; home HH OW M; hour AW ER; hours AW ER Z; house HH AW S; how HH AW; hundred HH AH N D R AH D;
hundreds HH AH N D R AH D Z; hundredth HH AH N D R AH D TH; i AY; if IH F; in IH N;
incorporated IH N K AO R P ER EY T IH D; info IH N F OW; into IH N T UW; is IH Z; it IH T; its IH T S;
january JH AE N Y UW EH R IY; july JH UW L AY; june JH UW N; junior JH UW N Y ER; kilogram K IH L AH G R AE M;
kilograms K IH L AH G R AE M Z; kilohertz K IH L OW HH ER T S; kilometer K AH L AA M AH T ER;
kilometers K AH L AA M AH T ER Z; large L AA R JH; lay L EY; left L EH F T; let L EH T; letter L EH T ER; life L AY F;
light L AY T; little L IH T AH L; long L AO NG; look L UH K; looked L UH K T; looks L UH K S; low L OW; made M EY D;
make M EY K; makes M EY K S; man M AE N; many M EH N IY; marbled M AA R B AH L D; march M AA R CH; maroon M ER UW N;
may M EY; me M IY; medium M IY D IY AH M; megabyte M EH G AH B AY T; megabytes M EH G AH B AY T S;
megahertz M EH G AH HH ER T S; meter M IY T ER; meters M IY T ER Z; mile M AY L; miles M AY L Z;
milliliter M IH L AH L IY T ER; milliliters M IH L AH L IY T ER Z; millimeter M IH L AH M IY T ER;
millimeters M IH L AH M IY T ER Z; million M IH L Y AH N; millionth M IH L Y AH N TH;
millisecond M IH L IH S EH K AH N D; milliseconds M IH L IH S EH K AH N D Z; minus M AY N AH S; minute M IH N AH T;
minutes M IH N AH T S; missus M IH S IH Z; mister M IH S T ER; miz M IH Z; monday M AH N D IY; month M AH N TH;
moon M UW N; more M AO R; morning M AO R N IH NG; most M OW S T; mountain M AW N T AH N; moves M UW V Z;
music M Y UW Z IH K; must M AH S T; my M AY; name N EY M; navy N EY V IY; near N IH R; net N EH T; new N UW;
night N AY T; nine N AY N; nineteen N AY N T IY N; nineteenth N AY N T IY N TH; nineties N AY N T IY Z;
ninetieth N AY N T IY IH TH; ninety N AY N T IY; ninth N AY N TH; no N OW; not N AA T; november N OW V EH M B ER;
now N AW; number N AH M B ER; o'clock AH K L AA K; october AA K T OW B ER; of AH V; oh OW; old OW L D; olive AA L AH V;
on AA N; one W AH N; only OW N L IY; open OW P AH N; opens OW P AH N Z; or AO R; orange AO R AH N JH; org AO R G;
other AH DH ER; our AW ER; out AW T; over OW V ER; own OW N; pans P AE N Z; paper P EY P ER; people P IY P AH L;
per P ER; percent P ER S EH N T; picture P IH K CH ER; pink P IH NG K; pixel P IH K S AH L; pixels P IH K S AH L Z;
place P L EY S; plain P L EY N; play P L EY; played P L EY D; plays P L EY Z; please P L IY Z; plus P L AH S;
point P OY N T; pound P AW N D; pounds P AW N D Z; professor P R AH F EH S ER; purple P ER P AH L;
quarter K W AO R T ER; quarters K W AO R T ER Z; quickly K W IH K L IY; rain R EY N; red R EH D; right R AY T;
river R IH V ER; road R OW D; room R UW M; round R AW N D; run R AH N; runs R AH N Z; said S EH D; saint S EY N T;
same S EY M; saturday S AE T ER D IY; saw S AO; say S EY; says S EH Z; scene S IY N; sea S IY; second S EH K AH N D;
seconds S EH K AH N D Z; see S IY; sees S IY Z; senior S IY N Y ER; sentence S EH N T AH N S;
september S EH P T EH M B ER; set S EH T; seven S EH V AH N; seventeen S EH V AH N T IY N;
seventeenth S EH V AH N T IY N TH; seventh S EH V AH N TH; seventies S EH V AH N T IY Z;
seventieth S EH V AH N T IY IH TH; seventy S EH V AH N T IY; she SH IY; ship SH IH P; short SH AO R T; shot SH AA T;
should SH UH D; six S IH K S; sixteen S IH K S T IY N; sixteenth S IH K S T IY N TH; sixteenths S IH K S T IY N TH S;
sixth S IH K S TH; sixths S IH K S TH S; sixties S IH K S T IY Z; sixtieth S IH K S T IY IH TH; sixty S IH K S T IY;
sky S K AY; slow S L OW; slowly S L OW L IY; small S M AO L; so S OW; some S AH M; soon S UW N; sound S AW N D;
speak S P IY K; speaks S P IY K S; speckled S P EH K AH L D; speech S P IY CH; spoke S P OW K; square S K W EH R;
squared S K W EH R D; stands S T AE N D Z; star S T AA R; start S T AA R T; starts S T AA R T S; still S T IH L;
stop S T AA P; stops S T AA P S; story S T AO R IY; street S T R IY T; striped S T R AY P T; sun S AH N;
sunday S AH N D EY; table T EY B AH L; take T EY K; takes T EY K S; teal T IY L; ten T EH N; tens T EH N Z;
tenth T EH N TH; tenths T EH N TH S; than DH AE N; thank TH AE NG K; thanks TH AE NG K S; that DH AE T; the DH AH;
their DH EH R; them DH EH M; then DH EH N; there DH EH R; they DH EY; third TH ER D; thirds TH ER D Z;
thirteen TH ER T IY N; thirteenth TH ER T IY N TH; thirties TH ER T IY Z; thirtieth TH ER T IY AH TH;
thirty TH ER D IY; this DH IH S; thousand TH AW Z AH N D; thousands TH AW Z AH N D Z; thousandth TH AW Z AH N D TH;
three TH R IY; through TH R UW; thursday TH ER Z D EY; tilts T IH L T S; time T AY M; times T AY M Z; to T UW;
today T AH D EY; tomorrow T AH M AA R OW; took T UH K; train T R EY N; tree T R IY; triangle T R AY AE NG G AH L;
trillion T R IH L Y AH N; tuesday T UW Z D IY; turns T ER N Z; twelfth T W EH L F TH; twelve T W EH L V;
twenties T W EH N T IY Z; twentieth T W EH N T IY AH TH; twenty T W EH N T IY; two T UW; under AH N D ER; up AH P;
us AH S; versus V ER S AH S; very V EH R IY; voice V OY S; waits W EY T S; walk W AO K; walks W AO K S; warm W AO R M;
was W AA Z; water W AO T ER; wavy W EY V IY; way W EY; we W IY; wednesday W EH N Z D IY; week W IY K;
welcome W EH L K AH M; went W EH N T; what W AH T; when W EH N; where W EH R; while W AY L; white W AY T; who HH UW;
why W AY; will W IH L; wind W AY N D; window W IH N D OW; with W IH DH; woman W UH M AH N; word W ER D; work W ER K;
world W ER L D; would W UH D; year Y IH R; yellow Y EH L OW; yen Y EH N; yes Y EH S; you Y UW; young Y AH NG;
your Y AO R; zero Z IH R OW; zooms Z UW M Z
"""


def _read(text: str) -> dict[str, tuple[str, ...]]:
    entries = (entry.split() for entry in text.split(";"))
    return {word: tuple(phones) for word, *phones in entries}


LETTERS = _read(_LETTERS)
"""Names of the letters."""
WORDS = _read(_WORDS)
